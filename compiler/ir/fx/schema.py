"""Calls of torch operators by their schemas: arguments by name, and raw calls as attributes.

A raw call keeps its tensors and symbolic numbers as operands under the schema's argument names and
everything else as attributes: a dtype as "f32", a device as "cpu".  A list that mixes numbers and
symbolic numbers is an operand with the numbers as constants.  A list of tensors with gaps (the
indices of x[:, i]) keeps the places of the tensors in an attribute, `indices_at`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from sparqc.errors import SparqcError
from sparqc.ir.fx.native import FxRaw, Ref
from sparqc.ir.fx.tensor import TORCH_DTYPES, dtype_of
from sparqc.ir.graph import Array, Attribute, Node, Value
from sparqc.ir.vocabulary.forms import overload
from sparqc.ir.vocabulary.operator import FxCall

#: Where the functions of symbolic numbers are found: x.shape[0] * 2 is operator.mul.
_SYM_MODULES = (operator, math, torch)
_SLOTS = "abcdef"
_MISSING = object()


@dataclass(frozen=True)
class Argument:
    """One argument of a schema."""

    name: str
    type: str  # "Tensor", "List[int]", "Optional[ScalarType]"
    default: Any
    keyword: bool

    @property
    def takes_tensors(self) -> bool:
        """Whether tensors are passed here."""
        return "Tensor" in self.type


@cache
def signature(target: Any) -> tuple[Argument, ...]:
    """The arguments of a torch operator."""
    return tuple(
        Argument(
            a.name,
            str(a.real_type),
            a.default_value if a.has_default_value() else _MISSING,
            a.kwarg_only,
        )
        for a in target._schema.arguments
    )


@cache
def target_name(target: Any) -> str:
    """The name of an operator: "aten.conv2d.default", "sym.mul", "higher_order.cond"."""
    if isinstance(target, torch._ops.OpOverload):
        return f"{target.namespace}.{target._schema.name.split('::')[1]}.{target._overloadname}"
    name = getattr(target, "__name__", type(target).__name__)
    if any(getattr(module, name, None) is target for module in _SYM_MODULES):
        return f"sym.{name}"
    if isinstance(target, torch._ops.HigherOrderOperator):
        return f"higher_order.{name}"
    return f"python.{name}"


def target_of(name: str) -> Any:
    """The operator of that name; SparqcError where torch has none."""
    if name.startswith("sym."):
        found = [getattr(m, name[4:]) for m in _SYM_MODULES if hasattr(m, name[4:])]
    else:
        try:
            found = [overload(name)]
        except (AttributeError, ValueError, RuntimeError):
            found = []
    if not found:
        raise SparqcError(f"there is no torch operator {name!r}")
    return found[0]


def bind(target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, defaults filled in."""
    if not isinstance(target, torch._ops.OpOverload):
        return {**dict(zip(_SLOTS, args, strict=False)), **kwargs}
    bound: dict[str, Any] = {}
    positional = iter(args)
    for argument in signature(target):
        given = _MISSING if argument.keyword else next(positional, _MISSING)
        given = kwargs.get(argument.name, argument.default) if given is _MISSING else given
        bound[argument.name] = None if given is _MISSING else given
    return bound


# -- a raw call as operands and attributes ------------------------------------------------------


@dataclass
class RawCall:
    """A call outside the table.  Operands may hold arrays, which are to become constants."""

    operands: dict[str, Any]
    attributes: dict[str, Attribute]
    raw: FxRaw | None = None


def raw_call(target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RawCall:
    """A call as operands and attributes, or as a template where those cannot say it."""
    if isinstance(target, torch._ops.OpOverload):
        bound = bind(target, args, kwargs)
        tensors = {a.name: a.takes_tensors for a in signature(target)}
    elif target_name(target).startswith("sym.") and not kwargs:
        bound = dict(zip(_SLOTS, args, strict=False))
        tensors = {}
    else:
        return _template(target, args, kwargs)
    call = RawCall({}, {})
    for name, argument in bound.items():
        if not _encode(call, name, argument, tensors.get(name, False)):
            return _template(target, args, kwargs)
    return call


def _encode(call: RawCall, name: str, argument: Any, takes_tensors: bool) -> bool:
    """Put one argument among operands or attributes; False where it is neither."""
    items = argument if isinstance(argument, list | tuple) else None
    if isinstance(argument, Value) or (argument is None and takes_tensors):
        call.operands[name] = argument
    elif items is not None and (takes_tensors or any(isinstance(i, Value) for i in items)):
        return _encode_values(call, name, list(items))
    else:
        attribute = _attribute(argument)
        if attribute is _MISSING:
            return False
        call.attributes[name] = attribute
    return True


def _encode_values(call: RawCall, name: str, items: list[Any]) -> bool:
    values = [i if isinstance(i, Value) else _number(i) for i in items if i is not None]
    if any(v is None for v in values):
        return False
    call.operands[name] = tuple(values)
    if None in items:
        call.attributes[f"{name}_at"] = tuple(k for k, i in enumerate(items) if i is not None)
    return True


def _number(item: Any) -> Array | None:
    if isinstance(item, bool | int):
        return np.array(item, np.int64)
    return np.array(item, np.float64) if isinstance(item, float) else None


def _attribute(argument: Any) -> Any:
    """A plain argument as an attribute, `_MISSING` where it is none."""
    if argument is None or isinstance(argument, bool | int | float | str):
        return argument
    if isinstance(argument, list | tuple):
        items = tuple(_attribute(item) for item in argument)
        return _MISSING if any(item is _MISSING for item in items) else items
    if isinstance(argument, torch.dtype):
        return dtype_of(argument)
    if isinstance(argument, torch.device):
        return str(argument)
    if isinstance(argument, torch.memory_format | torch.layout):
        return str(argument).removeprefix("torch.")
    return _MISSING


def _template(target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RawCall:
    """Every value in one operand, and the call with references to them."""
    values: list[Value] = []

    def refer(value: Value) -> Ref:
        values.append(value)
        return Ref("args", len(values) - 1)

    template = FxRaw(target, map_values(args, refer), map_values(dict(kwargs), refer))
    return RawCall({"args": tuple(values)}, {}, template)


def map_values(tree: Any, function: Callable[[Any], Any], kind: Any = Value) -> Any:
    """A nest of lists, tuples and dicts with every item of a type replaced."""
    if isinstance(tree, kind):
        return function(tree)
    if isinstance(tree, list | tuple):
        items = [map_values(item, function, kind) for item in tree]
        return tuple(items) if isinstance(tree, tuple) else items
    if isinstance(tree, dict):
        return {key: map_values(item, function, kind) for key, item in tree.items()}
    return tree


# -- and back -----------------------------------------------------------------------------------


def raw_fx_call(node: Node) -> FxCall:
    """The call of a raw node."""
    if isinstance(node.raw, FxRaw):
        return _filled(node, node.raw)
    target = target_of(node.op)
    if node.op.startswith("sym."):
        given = {**node.operands, **node.attributes}
        return FxCall(target, tuple(_plain(given[s]) for s in _SLOTS if s in given))
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for argument in signature(target):
        value = _decode(node, argument)
        if argument.keyword and value != argument.default:
            kwargs[argument.name] = value
        elif not argument.keyword:
            args.append(value)
    return FxCall(target, tuple(_without_defaults(target, args)), kwargs)


def _filled(node: Node, raw: FxRaw) -> FxCall:
    def value(ref: Any) -> Any:
        operand = node.operands[ref.slot]
        return operand if ref.index is None else operand[ref.index]  # type: ignore[index]

    args, kwargs = (map_values(tree, value, Ref) for tree in (raw.args, dict(raw.kwargs)))
    return FxCall(raw.target, args, kwargs)


def _without_defaults(target: Any, args: list[Any]) -> list[Any]:
    """Trailing arguments that only repeat their defaults are left out."""
    positional = [a for a in signature(target) if not a.keyword]
    while args and positional[len(args) - 1].default is not _MISSING:
        default = positional[len(args) - 1].default
        if isinstance(args[-1], Value) or args[-1] != default:
            break
        args.pop()
    return args


def _decode(node: Node, argument: Argument) -> Any:
    """One argument of the call, from an operand or an attribute."""
    name = argument.name
    if name in node.operands:
        operand = node.operands[name]
        if not isinstance(operand, tuple):
            return operand if argument.takes_tensors else _plain(operand)
        items = [v if argument.takes_tensors else _plain(v) for v in operand]
        return _spaced(items, node.attributes.get(f"{name}_at"))
    value = node.attributes.get(name, argument.default)
    if value is _MISSING:
        raise SparqcError(f"{node.output.name}: {node.op} lacks its argument {name!r}")
    return _from_attribute(value, argument.type)


def _spaced(items: list[Any], places: Any) -> list[Any]:
    if places is None:
        return items
    spaced: list[Any] = [None] * (max(places) + 1)
    for place, item in zip(places, items, strict=True):
        spaced[place] = item
    return spaced


def _plain(operand: Any) -> Any:
    """A number that was made a constant to stand beside symbolic ones."""
    if isinstance(operand, Value) and operand.data is not None:
        return operand.data.item()
    return operand


def _from_attribute(value: Any, type: str) -> Any:
    if isinstance(value, tuple):
        return [_from_attribute(item, type) for item in value]
    if not isinstance(value, str):
        return value
    if "ScalarType" in type:
        return TORCH_DTYPES.get(value) or getattr(torch, value)
    if "Device" in type:
        return torch.device(value)
    return getattr(torch, value) if "Layout" in type or "MemoryFormat" in type else value
