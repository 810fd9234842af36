"""What a run is: the model that it starts from, and the settings that decide its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sparqc.errors import SparqcError
from sparqc.tools.tune.data import tensor_text
from sparqc.tools.tune.state.checkpoint import tensor_hash

#: More names than this are counted.
_MOST = 3
#: Hexadecimal digits of a hash that are kept: no two tensors of a network share them by chance.
_DIGITS = 16


@dataclass(frozen=True)
class Identity:
    """Parameters and buffers as "float32[16,3,3,3] <hash>" by name; settings by name."""

    tensors: Mapping[str, str]
    settings: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"tensors": dict(self.tensors), "settings": dict(self.settings)}


def identity_of(module: nn.Module, settings: Mapping[str, Any]) -> Identity:
    """The identity of a run that starts from this module.

    Raises SparqcError where the module keeps state that is no tensor.
    """
    state = module.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise SparqcError(
                f"the model keeps a {type(value).__name__} in its state_dict ({name}), which no "
                "checkpoint can hold without pickling it",
                hint="keep it in a buffer (register_buffer), or outside of the state_dict",
            )
    return Identity({name: _describe(tensor) for name, tensor in state.items()}, settings)


def _describe(tensor: Tensor) -> str:
    return f"{tensor_text(tensor)} {tensor_hash(tensor)[:_DIGITS]}"


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What tells two identities (as plain data) apart, the gravest first; none where nothing does.

    The texts read "X is A, and B there", with `one` here and `other` there.
    """
    mine, theirs = one.get("tensors", {}), other.get("tensors", {})
    return [
        *_missing(mine, theirs, "is not in the model there"),
        *_missing(theirs, mine, "is not in the model here"),
        *_changed(mine, theirs),
        *_settings(one.get("settings", {}), other.get("settings", {})),
    ]


def _missing(these: Mapping[str, str], those: Mapping[str, str], what: str) -> list[str]:
    return _counted([name for name in these if name not in those], what)


def _counted(names: Sequence[str], what: str) -> list[str]:
    if len(names) <= _MOST:
        return [f"{name} {what}" for name in names]
    return [f"{names[0]} {what}, and {len(names) - 1} more like it"]


def _changed(mine: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    both = [name for name in mine if name in theirs]
    pairs = {name: (mine[name].split(), theirs[name].split()) for name in both}
    shapes = [name for name, (a, b) in pairs.items() if a[0] != b[0]]
    values = [name for name, (a, b) in pairs.items() if a[0] == b[0] and a != b]
    found = [f"{n} is {pairs[n][0][0]}, and {pairs[n][1][0]} there" for n in shapes[:_MOST]]
    return [*found, *_counted(values, "has other values there")]


def _settings(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    names = [*mine, *(name for name in theirs if name not in mine)]
    return [
        f"{name} is {_shown(mine.get(name))}, and {_shown(theirs.get(name))} there"
        for name in names
        if mine.get(name) != theirs.get(name)
    ]


def _shown(value: object) -> str:
    return "not set" if value is None else repr(value)
