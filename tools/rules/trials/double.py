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
        if identity and x.producer is not None and x.producer.op == QUANTIZE:
            return _rescaled(node, x.producer, values[x], wide)
        return _dequantized(node, values[x], wide)
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


def _rescaled(node: Node, made: Node, x: Value, wide: Graph) -> tuple[Value, ...] | None:
    """What was quantized, times the scale that its codes are read with over the one of them."""
    one, other = made.operands["scale"], node.operands["scale"]
    if one is other:
        return (x,)
    if not isinstance(one, Value) or not isinstance(other, Value):
        return None
    if one.data is None or other.data is None or one.shape != other.shape:
        return None
    ratio = other.data.astype(np.float64) / one.data
    return (x,) if (ratio == 1).all() else (_by_channel("nn.mul", x, ratio, node, wide),)


def _by_channel(op: str, x: Value, array: Array, node: Node, wide: Graph) -> Value:
    """An operator of a value and of numbers that lie along the axis of a quantizer."""
    axis: Any = node.attributes["axis"]
    if axis is not None and array.ndim:
        rank = len(node.output.shape or ())
        array = array.reshape([-1 if d == axis % rank else 1 for d in range(rank)])
    beside = wide.constant(array, "k")
    return wide.create(op, {"a": x, "b": beside}, types=[_doubled(node.output.type)]).output


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
    if codes.type.dtype == "f64":
        return None
    wanted = [_doubled(type)]
    made = wide.create("nn.cast", {"x": codes}, {"to": "f64"}, types=wanted).output
    made = _by_channel("nn.sub", made, shift, node, wide)
    return (_by_channel("nn.mul", made, scale.data.astype(np.float64), node, wide),)


def _doubled(type: TensorType) -> TensorType:
    return TensorType("f64" if type.dtype in _FLOATS else type.dtype, type.shape)
