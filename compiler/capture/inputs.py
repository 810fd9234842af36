"""Example inputs, as a person gives them, as the arguments of a module."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from sparqc.errors import UsageError


def arguments_of(module: nn.Module, inputs: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments; keywords in the order in which `forward` names them.

    A tuple or list holds what is given by position, a dict what is given by keyword, and a lone
    tensor is the only input.  Raises UsageError for anything else, and for a dict that does not
    name what `forward` takes.
    """
    if isinstance(inputs, Tensor):
        return (inputs,), {}
    if isinstance(inputs, (tuple, list)):
        return tuple(inputs), {}
    if not isinstance(inputs, Mapping):
        raise UsageError(
            f"the example inputs are a value of type {type(inputs).__name__}",
            hint="give a tuple, (tensor, …), or a dict by keyword, {name: tensor, …}",
        )
    return (), _in_order(module, dict(inputs))


def _in_order(module: nn.Module, given: dict[str, Any]) -> dict[str, Any]:
    try:
        signature = inspect.signature(module.forward)
        bound = signature.bind(**given)
    except TypeError as error:
        raise UsageError(
            f"{type(module).__name__} does not take the example inputs {', '.join(given)} by "
            f"keyword: {error}",
            hint="name the parameters of forward; one argument that is a dict itself is ({…},)",
        ) from error
    open_ended = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    named = [n for n in bound.arguments if signature.parameters[n].kind not in open_ended]
    return {name: given[name] for name in (*named, *(n for n in given if n not in named))}
