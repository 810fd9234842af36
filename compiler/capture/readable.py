"""A module with what other tools put into it, for as long as it is captured."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn

from sparqc.base.text import shortened
from sparqc.capture.masks import masked_weight, masks
from sparqc.capture.tensor_quantizer import is_quantizer, replacement


@contextlib.contextmanager
def readable(module: nn.Module) -> Iterator[tuple[str, ...]]:
    """Let a module be exported although it holds quantizers whose code cannot be traced.

    Each of them is replaced by one of sparqc's operators with the same scale, and weights are
    multiplied by the masks that lie beside them; afterwards the module is as it was.  Nothing is
    copied but masked weights.  Yields notes for a person: what was left out, and why.
    Raises SparqcError, naming the module, for a quantizer that cannot be read.
    """
    undo = contextlib.ExitStack()
    with undo:
        notes = [*_quantizers(module, undo), *_masks(module, undo)]
        yield tuple(notes)


def _quantizers(module: nn.Module, undo: contextlib.ExitStack) -> Iterator[str]:
    found = [
        (f"{path}.{name}".lstrip("."), parent, name)
        for path, parent in module.named_modules()
        for name, child in parent.named_children()
        if is_quantizer(child)
    ]
    made: dict[nn.Module, nn.Module] = {}
    why: dict[str, list[str]] = {}
    for path, parent, name in found:
        old = parent._modules[name]
        assert old is not None
        if old not in made:
            made[old], note = replacement(path, old)
            if note:
                why.setdefault(note, []).append(path)
        undo.callback(parent._modules.__setitem__, name, old)
        parent._modules[name] = made[old]
    for note, paths in why.items():
        yield f"{note}: {shortened(paths)}"


def _masks(module: nn.Module, undo: contextlib.ExitStack) -> Iterator[str]:
    changed: list[str] = []
    for path, owner, name, mask in masks(module):
        weight = owner._parameters[name]
        product = masked_weight(path, weight, mask)
        if product is not None:
            undo.callback(owner._parameters.__setitem__, name, weight)
            owner._parameters[name] = product
            changed.append(path)
    if changed:
        yield f"multiplied by the masks that lie beside them: {shortened(changed)}"
