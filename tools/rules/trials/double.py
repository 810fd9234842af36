"""A graph in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparqc.ir.graph import Array, Graph, Node, TensorType, Value
from sparqc.ir.quantizers import DEQUANTIZE, FAKE_QUANTIZE, QUANTIZE
from sparqc.ir.vocabulary.table import OperatorTable

_FLOATS = ("f16", "f32")


def in_double(graph: Graph, table: OperatorTable, identity: bool) -> Graph | None:
    """The same graph on FX with floats of 64 bits, and stored codes as the numbers that they stand
    for; with `identity` quantizers do not round.  None where an operator has no form there."""
    wide = Graph("fx", graph.name)
    values = {v: wide.add_input(v.name, _doubled(v.type)) for v in graph.inputs}
    for value in graph.constants:
        assert value.data is not None
        floats = value.data.dtype.kind == "f"
        data = value.data.astype(np.float64) if floats else value.data
        values[value] = wide.constant(data, value.name)
    for node in graph.nodes:
        made = _made(node, wide, values, table, identity)
        if made is None:
            return None
        values.update(zip(node.outputs, made, strict=True))
    wide.set_outputs([values[v] for v in graph.outputs], graph.output_names)
    return wide


def _made(
    node: Node, wide: Graph, values: dict[Value, Value], table: OperatorTable, identity: bool
) -> tuple[Value, ...] | None:
    x = node.operands.get("x")
    if identity and node.op in (FAKE_QUANTIZE, QUANTIZE) and isinstance(x, Value):
        return (values[x],)
    if node.op == DEQUANTIZE and isinstance(x, Value):
        alike = _has_scale_of(x, node)
        return (values[x],) if identity and alike else _dequantized(node, values[x], wide)
    row = table.get(node.op)
    if row is None or row.fx is None:
        return None
    operands = {
        slot: values[o] if isinstance(o, Value) else o and tuple(values[v] for v in o)
        for slot, o in node.operands.items()
    }
    attributes = dict(node.attributes)
    if node.op == "nn.cast" and attributes["to"] in _FLOATS:
        attributes["to"] = "f64"
    types = [_doubled(v.type) for v in node.outputs]
    names = [v.name for v in node.outputs]
    return wide.create(node.op, operands, attributes, types=types, names=names).outputs


def _has_scale_of(codes: Value, node: Node) -> bool:
    """Whether codes were made by the scale that they are read with."""
    made = codes.producer
    if made is None or made.op != QUANTIZE:
        return False
    one, other = made.operands["scale"], node.operands["scale"]
    if not isinstance(one, Value) or not isinstance(other, Value):
        return False
    known = one.data is not None and other.data is not None
    return one is other or (known and np.array_equal(one.data, other.data))  # type: ignore[arg-type]


def _dequantized(node: Node, codes: Value, wide: Graph) -> tuple[Value, ...] | None:
    """(codes - zero point) * scale, in operators of their own."""
    scale, zero, type = node.operands["scale"], node.operands.get("zero_point"), node.output.type
    if not isinstance(scale, Value) or scale.data is None or type.shape is None:
        return None
    shift: Array = np.zeros(())
    if isinstance(zero, Value):
        if zero.data is None:
            return None
        shift = zero.data.astype(np.float64)
    axis: Any = node.attributes["axis"]
    if codes.type.dtype == "f64":
        return None
    made = codes
    for op, array in (("nn.sub", shift), ("nn.mul", scale.data.astype(np.float64))):
        if made is codes:
            made = wide.create(
                "nn.cast", {"x": codes}, {"to": "f64"}, types=[_doubled(type)]
            ).output
        if axis is not None and array.ndim:
            rank = len(type.shape)
            array = array.reshape([-1 if d == axis % rank else 1 for d in range(rank)])
        beside = wide.constant(array, "k")
        made = wide.create(op, {"a": made, "b": beside}, types=[_doubled(type)]).output
    return (made,)


def _doubled(type: TensorType) -> TensorType:
    return TensorType("f64" if type.dtype in _FLOATS else type.dtype, type.shape)
