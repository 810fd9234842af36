"""Operands of a type that an operator does not take, such as INT64 weights of a Conv."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import onnx

from sparqc.ir.graph import TensorType
from sparqc.ir.onnx.types import dtype_of_element
from sparqc.ir.vocabulary.onnx_schema import schema_of

#: What quantizers give and take; parsers take more of the floats on the other side than the schema.
_CODES = frozenset(
    dtype_of_element(number)
    for name, number in onnx.TensorProto.DataType.items()
    if name.startswith(("INT", "UINT", "FLOAT8", "FLOAT4"))
    and name not in ("INT64", "UINT64", "UINT32")
)
_NUMBERS = frozenset({"f64", "f32", "f16", "bf16", "i32"})
_SCALES = frozenset({"f32", "f16", "bf16", dtype_of_element(onnx.TensorProto.FLOAT8E8M0)})
#: Where a schema's name of an element type is another than ONNX's own.
_NAMES = {"float": "FLOAT", "double": "DOUBLE"}


@dataclass(frozen=True)
class _Operand:
    name: str
    #: None of them where it may be no tensor.
    dtypes: frozenset[str]
    #: The name of the type, where other operands of that name have the same one.
    variable: str


def type_faults(
    node: onnx.NodeProto, types: Mapping[str, TensorType], opsets: Mapping[str, int]
) -> Iterator[str]:
    """A sentence for each operand whose type the operator's schema does not allow."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    dtypes = [types.get(name, TensorType()).dtype if name else "?" for name in node.input]
    if node.op_type in ("QuantizeLinear", "DequantizeLinear") and not domain:
        yield from _of_quantizer(node, dtypes)
        return
    allowed = _allowed(node.op_type, domain, opsets.get(domain, 1))
    bound: dict[str, tuple[str, str]] = {}
    for index, (name, dtype) in enumerate(zip(node.input, dtypes, strict=True) if allowed else ()):
        operand = allowed[min(index, len(allowed) - 1)]
        if dtype in ("?", "list"):
            continue
        if operand.dtypes and dtype not in operand.dtypes:
            yield f"its operand {operand.name}, {name!r}, is {dtype}, which it does not take"
            continue
        first, other = bound.setdefault(operand.variable or f"#{index}", (name, dtype))
        if other != dtype:
            yield f"its operands {first!r} and {name!r} are {other} and {dtype}, not of one type"


def _of_quantizer(node: onnx.NodeProto, dtypes: list[str]) -> Iterator[str]:
    """What its schema says, too, but for the types of scales."""
    x, scale, zero = (*dtypes, "?", "?", "?")[:3]
    gives = node.op_type == "QuantizeLinear"
    for what, dtype, taken in (
        ("data", x, _NUMBERS if gives else _CODES),
        ("scale", scale, _SCALES),
        ("zero point", zero, _CODES),
    ):
        if dtype not in ("?", *taken):
            yield f"its {what} is {dtype}, which it does not take"
            return
    if not gives and "?" not in (x, zero) and x != zero:
        yield f"its codes are {x}, its zero point is {zero}"


@lru_cache(maxsize=1024)
def _allowed(op_type: str, domain: str, version: int) -> tuple[_Operand, ...]:
    """What the schema says of each operand."""
    schema = schema_of(op_type, domain, version)
    if schema is None:
        return ()
    variables = {c.type_param_str for c in schema.type_constraints}
    return tuple(
        _Operand(p.name, _dtypes(p.types), p.type_str if p.is_homogeneous else "")
        if p.type_str in variables
        else _Operand(p.name, _dtypes(p.types), "")
        for p in schema.inputs
    )


def _dtypes(types: set[str]) -> frozenset[str]:
    if not all(t.startswith("tensor(") for t in types):
        return frozenset()
    names = (t.removeprefix("tensor(").removesuffix(")") for t in types)
    numbers = (onnx.TensorProto.DataType.Value(_NAMES.get(n, n.upper())) for n in names)
    return frozenset(dtype_of_element(number) for number in numbers)
