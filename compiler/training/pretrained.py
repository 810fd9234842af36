"""`save_pretrained` of a module with masks: what `from_pretrained` reads into a plain one.

Libraries that offer it write `state_dict()`.  Under the names that parametrizations give, a plain
model would not find its weights, and draw new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

_NAME = "save_pretrained"
#: What ends the names of a parameter behind its mask, and of the mask.
_STORED, _MASK = ".original", ".0.mask"


def save_plainly(module: nn.Module) -> None:
    """Let every part of a module that offers `save_pretrained` write plain names, and zeros."""
    for part in module.modules():
        if callable(getattr(type(part), _NAME, None)) and _NAME not in vars(part):
            setattr(part, _NAME, partial(_save, part))


def save_as_before(module: nn.Module) -> None:
    """Take back what `save_plainly` did."""
    for part in module.modules():
        ours = vars(part).get(_NAME)
        if isinstance(ours, partial) and ours.func is _save:
            delattr(part, _NAME)


def _save(part: nn.Module, *args: Any, **given: Any) -> Any:
    state_dict = part.state_dict

    def plainly(*args: Any, **given: Any) -> dict[str, Any]:
        return _plain(state_dict(*args, **given))

    if given.get("state_dict") is not None:
        given["state_dict"] = _plain(given["state_dict"])
    part.state_dict = plainly  # type: ignore[assignment, method-assign]
    try:
        return getattr(type(part), _NAME)(part, *args, **given)
    finally:
        del part.state_dict


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state_dict with the names and the weights that `bake` would leave."""
    found: dict[str, Any] = {}
    for name, tensor in state.items():
        path = name.removesuffix(_STORED).removesuffix(_MASK)
        stored, mask = state.get(f"{path}{_STORED}"), state.get(f"{path}{_MASK}")
        if stored is None or mask is None:
            found[name] = tensor
        elif tensor is stored:
            # "layer.parametrizations.weight" is the weight of "layer".
            owner, _, leaf = path.rpartition(".")
            owner = owner.removesuffix("parametrizations")
            found[f"{owner}{leaf}"] = stored * mask
    return found
