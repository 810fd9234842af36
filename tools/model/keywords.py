"""Example inputs by position or by keyword, as the parameters of `forward` take them."""

from __future__ import annotations

import inspect
from typing import cast

from torch import Tensor, nn

from sparqc.capture.inputs import arguments_of
from sparqc.tools.model.functions import TensorBatch

_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


def by_position(
    module: nn.Module, given: TensorBatch | dict[str, Tensor]
) -> tuple[TensorBatch, tuple[str, ...]]:
    """The tensors in the order of `forward`, and their keywords where it needs them.

    Raises UsageError for a dict that does not name what `forward` takes.
    """
    args, kwargs = arguments_of(module, given)
    if not kwargs:
        return cast(TensorBatch, args), ()
    plain = tuple(kwargs) == positional_names(module)[: len(kwargs)]
    return tuple(kwargs.values()), () if plain else tuple(kwargs)


def positional_names(module: nn.Module) -> tuple[str, ...]:
    """The parameters of `forward` that take an argument by position."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):  # forward is no Python function
        return ()
    return tuple(p.name for p in parameters if p.kind in _POSITIONAL)
