"""A part of a model on its own: the submodule, and what the model feeds it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparqc.errors import SparqcError, UsageError, did_you_mean
from sparqc.tools.model.functions import TensorBatch
from sparqc.tools.model.keywords import positional_names
from sparqc.tools.model.user_code import UserCode


def find(module: nn.Module, path: str) -> nn.Module:
    """The submodule at a dotted path; UsageError where there is none."""
    known: dict[str, nn.Module] = dict(module.named_modules())
    if path not in known or not path:
        raise UsageError(
            f"the model has no submodule {path!r}",
            hint=did_you_mean(path, filter(None, known))
            or f"it has: {', '.join(_children(module))}",
        )
    return known[path]


def _children(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_children()]


@dataclass(frozen=True)
class ModelRun:
    """How a whole model is run on a batch."""

    module: nn.Module
    code: UserCode
    #: The keywords of the inputs, where they are given by keyword.
    keywords: tuple[str, ...] = ()

    def __call__(self, batch: TensorBatch) -> None:
        """Run it; SparqcError where it fails."""
        with torch.no_grad(), self.code.running("running the model"):
            if self.keywords:
                self.module(**dict(zip(self.keywords, batch, strict=True)))
            else:
                self.module(*batch)


def inputs_of(
    run: ModelRun, path: str, batch: TensorBatch
) -> Iterator[tuple[TensorBatch, tuple[str, ...]]]:
    """What the submodule is called with while the whole model runs on a batch, call by call: the
    tensors, and their keywords where `forward` takes one of them by keyword alone.

    Raises SparqcError where the model fails, never calls it, or calls it with other things than
    tensors.
    """
    seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    part = find(run.module, path)
    hook = part.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append((args, kwargs)), with_kwargs=True
    )
    try:
        run(batch)
    finally:
        hook.remove()
    if not seen:
        raise SparqcError(f"the model does not call its submodule {path!r} on these inputs")
    yield from (_tensors(part, path, args, kwargs) for args, kwargs in seen)


def _tensors(
    part: nn.Module, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[TensorBatch, tuple[str, ...]]:
    bound = inspect.signature(part.forward).bind(*args, **kwargs)
    values = (*bound.args, *bound.kwargs.values())
    names = (*positional_names(part)[: len(bound.args)], *bound.kwargs)
    unnamed = bound.kwargs and len(names) < len(values)
    if unnamed or not all(isinstance(value, Tensor) for value in values):
        given = ", ".join(type(value).__name__ for value in values)
        raise SparqcError(
            f"the model calls its submodule {path!r} with ({given}), not with tensors alone",
            hint="take a submodule inside it or around it",
        )
    return tuple(value.detach() for value in values), names if bound.kwargs else ()
