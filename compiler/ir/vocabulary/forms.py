"""Helpers for the rows of the operator table, so that a simple row is a few lines.

Nothing here imports torch before a call is written: work on ONNX alone does without it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

from sparqc.ir.graph import Array, Node, TensorType, Value
from sparqc.ir.vocabulary.operator import (
    Call,
    FxCall,
    FxForm,
    OnnxEmitter,
    OnnxForm,
    OperandSpec,
    Operator,
    Reading,
    Sample,
)
from sparqc.ir.vocabulary.traits import Trait

#: The numpy dtype of each short name; numpy has no bfloat16 of its own.
NUMPY_DTYPES: dict[str, np.dtype[Any]] = {
    "f64": np.dtype("float64"), "f32": np.dtype("float32"), "f16": np.dtype("float16"),
    "bf16": np.dtype(ml_dtypes.bfloat16), "i64": np.dtype("int64"), "i32": np.dtype("int32"),
    "i16": np.dtype("int16"), "i8": np.dtype("int8"), "u8": np.dtype("uint8"),
    "bool": np.dtype("bool"),
}  # fmt: skip

#: ONNX's element type numbers (TensorProto.DataType).
ONNX_DTYPES: dict[str, int] = {
    "f32": 1, "u8": 2, "i8": 3, "i16": 5, "i32": 6, "i64": 7, "bool": 9, "f16": 10, "f64": 11,
    "bf16": 16,
}  # fmt: skip

FLOATS = frozenset({"f64", "f32", "f16", "bf16"})

Rng = np.random.Generator
Sampler = Callable[[Rng], Sample]


# -- what a node holds ---------------------------------------------------------------------------


def tensor(node: Node, slot: str) -> Value:
    """An operand that takes one value and is there."""
    operand = node.operands[slot]
    assert isinstance(operand, Value), f"{node.op} needs one value for {slot}"
    return operand


def optional_tensor(node: Node, slot: str) -> Value | None:
    """An operand that takes one value, or None."""
    return None if node.operands.get(slot) is None else tensor(node, slot)


def tensors(node: Node, slot: str) -> tuple[Value, ...]:
    """A variadic operand."""
    operand = node.operands[slot]
    assert isinstance(operand, tuple), f"{node.op} needs several values for {slot}"
    return operand


def integer(node: Node, name: str) -> int:
    """An attribute that is an integer (ONNX has no bool)."""
    attribute = node.attributes[name]
    assert isinstance(attribute, int), f"{node.op} needs an integer for {name}"
    return int(attribute)


def optional_integer(node: Node, name: str) -> int | None:
    """An attribute that is an integer or None."""
    return None if node.attributes[name] is None else integer(node, name)


def ints(node: Node, name: str) -> tuple[int, ...]:
    """An attribute that is a list of integers."""
    return numbers(node.attributes[name])


def numbers(attribute: Any) -> tuple[int, ...]:
    """A list of integers, however it came into the attributes."""
    assert isinstance(attribute, tuple | list), f"{attribute!r} is no list of integers"
    return tuple(int(item) for item in attribute)


# -- FX ------------------------------------------------------------------------------------------


@cache
def overload(target: str) -> Any:
    """The torch operator "aten.relu.default" stands for."""
    import torch

    import sparqc.ir.vocabulary.torch_ops  # noqa: F401  (registers sparqc::qdq and sparqc::mask)

    namespace, packet, name = target.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), packet), name)


def fx_call(target: str, *args: Any, **kwargs: Any) -> FxCall:
    """A call of the overload "aten.relu.default"; trailing None arguments are left out."""
    while args and args[-1] is None:
        args = args[:-1]
    return FxCall(overload(target), args, kwargs)


def torch_dtype(name: str) -> Any:
    """torch.float32 for "f32"."""
    import torch

    return getattr(torch, np.dtype(NUMPY_DTYPES[name]).name)


def number(node: Node, slot: str) -> bool | int | float | None:
    """The Python number of a scalar constant operand; None for tensors.

    A 0-d parameter or buffer of the user's module is a tensor: it may be trained.
    """
    operand = node.operands.get(slot)
    if not isinstance(operand, Value) or operand.data is None or operand.data.ndim:
        return None
    native = getattr(node.graph.native, "tensors", ())
    scalar: bool | int | float = operand.data.item()
    return None if operand.name in native else scalar


def tensor_operand(argument: Any, dtype: str) -> Value | Array | None:
    """A tensor argument of that dtype, or a number as a 0-d constant of it; None if neither fits.

    A number that would change the result's type (1.5 beside integers) does not fit.
    """
    if isinstance(argument, Value):
        return argument if argument.type.dtype in (dtype, "?") or dtype == "?" else None
    if not isinstance(argument, bool | int | float) or dtype not in NUMPY_DTYPES:
        return None
    if dtype not in FLOATS and (isinstance(argument, float) or dtype == "bool"):
        return None
    return np.array(argument, NUMPY_DTYPES[dtype])


def same_type(call: Call, **arguments: Any) -> Reading | None:
    """Operands that all have the type of the result; None where one of them has not."""
    dtype = call.types[0].dtype
    operands = {name: tensor_operand(a, dtype) for name, a in arguments.items()}
    return None if any(o is None for o in operands.values()) else Reading(operands)


def static_ints(argument: Any) -> tuple[int, ...] | None:
    """An integer or a list of integers as a tuple; None where one is symbolic or missing."""
    items = (argument,) if isinstance(argument, int) else argument
    if items is None or isinstance(items, Value) or not all(isinstance(i, int) for i in items):
        return None
    return tuple(int(i) for i in items)


def spread(argument: Any, rank: int) -> tuple[int, ...] | None:
    """The same, with one number standing for all `rank` dimensions."""
    items = static_ints(argument)
    return items * rank if items is not None and len(items) == 1 else items


# -- ONNX ----------------------------------------------------------------------------------------


@cache
def onnx_inputs(op_type: str, domain: str = "") -> tuple[str, ...]:
    """The input names in the newest schema of an ONNX operator."""
    import onnx

    return tuple(i.name for i in onnx.defs.get_schema(op_type, domain=domain).inputs)


def emit_one(
    op_type: str, node: Node, emitter: OnnxEmitter, /, *slots: str, **attributes: Any
) -> None:
    """Write a node as one ONNX node that reads these operands, by name, and has these attributes.

    Trailing operands that are absent are left out, and attributes that are None.
    """
    inputs: list[Value | None] = []
    for slot in slots:
        operand = node.operands[slot]
        inputs.extend(operand if isinstance(operand, tuple) else [operand])
    while inputs and inputs[-1] is None:
        inputs.pop()
    emitter.emit(op_type, inputs, attributes, outputs=node.outputs)


def axes_of(call: Call, name: str = "axes") -> tuple[int, ...] | None:
    """Integers that are an attribute in old opsets and a constant input in new ones."""
    argument = call.arguments.get(name)
    if isinstance(argument, Value):
        return None if argument.data is None else tuple(int(i) for i in argument.data.reshape(-1))
    return static_ints(argument)


def written_as_others(write: Callable[[Node, OnnxEmitter], None]) -> OnnxForm:
    """The form of what ONNX has no operator of its own for: it is written as other operators, and
    each of these is read as itself."""
    return OnnxForm((), lambda call: None, write)


# -- types ---------------------------------------------------------------------------------------


def rank_of(value: Any) -> int | None:
    """The rank of a value, None where unknown."""
    return value.type.rank if isinstance(value, Value) else None


def wrap(axis: int, rank: int) -> int:
    """A negative axis counted from the front."""
    return axis + rank if axis < 0 else axis


def normal(rng: Rng, *shape: int) -> Array:
    """Standard normal f32 numbers."""
    return rng.standard_normal(shape).astype(np.float32)


def unknown(count: int = 1) -> tuple[TensorType, ...]:
    """Types of outputs of which nothing is known."""
    return (TensorType(),) * count


# -- rows ----------------------------------------------------------------------------------------

X = (OperandSpec("x"),)
#: The traits of each function of one number.
UNARY: tuple[Trait, ...] = ("elementwise", "keeps_type")


def sample_x(rng: Rng) -> Sample:
    """One f32 tensor of shape [2, 3, 4]."""
    return Sample({"x": normal(rng, 2, 3, 4)})


def sample_positive(rng: Rng) -> Sample:
    """One f32 tensor of shape [2, 3, 4], all numbers in [0.1, 2)."""
    return Sample({"x": rng.uniform(0.1, 2, (2, 3, 4)).astype(np.float32)})


def unary(
    packet: str,
    op_type: str,
    doc: str,
    *,
    name: str = "",
    sample: Sampler = sample_x,
    evaluate: Callable[[Array], Array] | None = None,
    traits: tuple[Trait, ...] = (),
) -> Operator:
    """A row for y = f(x), number by number, that ATen (`packet`, also in place) and ONNX
    (`op_type`) both have; `traits` are those beside this."""

    def read_fx(call: Call) -> Reading | None:
        return same_type(call, x=call.arguments["self"])

    def write_fx(node: Node) -> FxCall:
        return fx_call(f"aten.{packet}.default", node.operands["x"])

    def read_onnx(call: Call) -> Reading | None:
        return Reading({"x": call.arguments[onnx_inputs(op_type)[0]]})

    def write_onnx(node: Node, emitter: OnnxEmitter) -> None:
        emit_one(op_type, node, emitter, "x")

    return Operator(
        name=f"nn.{name or packet}",
        doc=doc,
        operands=X,
        traits=(*UNARY, *traits),
        constant_expression=evaluate is not None,
        evaluate=None if evaluate is None else lambda o, _: (evaluate(o["x"]),),
        fx=FxForm((f"aten.{packet}.default", f"aten.{packet}_.default"), read_fx, write_fx),
        onnx=OnnxForm((op_type,), read_onnx, write_onnx),
        sample=sample,
    )
