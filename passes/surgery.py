"""The last changes to the ONNX graph: what the target's parser wants of Q/DQ and of weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Graph, Node, Value
from sparqc.passbase import Context, Pass
from sparqc.passes.natives.int8_codes import quantize_codes
from sparqc.registry import register


@register
@dataclass(frozen=True)
class Surgery(Pass):
    """Give every quantized weight and every INT8 reader what the target's parser asks for.

    Weights are stored as the target profile wants them: as INT8 codes behind a DequantizeLinear, or
    as floats behind a Q/DQ pair.  Every quantized reader gets an initializer and a DequantizeLinear
    of its own, since a shared one cannot be fused into two kernels.
    """

    name = "surgery"
    level = "onnx"
    preserves = "exact"

    def run(self, graph: Graph, context: Context) -> int:
        """Store the weights, then give each reader its own; returns the number of changes."""
        changes = 0
        if context.target.weight_form == "int8-dq":
            changes = sum(_store_codes(graph, node, context) for node in list(_quantizers(graph)))
        changes += sum(_unshare(graph, node) for node in list(graph.nodes))
        changes += graph.drop_dead()
        return changes


def _quantizers(graph: Graph) -> Iterator[Node]:
    return (node for node in graph.nodes if node.op == "q.quantize")


def _store_codes(graph: Graph, node: Node, context: Context) -> int:
    """Replace a QuantizeLinear of a constant by the codes it gives."""
    x, scale = node.operands["x"], node.operands["scale"]
    assert isinstance(x, Value) and isinstance(scale, Value)
    weight, scales = constant_value(x, context.table), scale.data
    if weight is None or scales is None:
        return 0
    axis = node.attributes["axis"] if scales.ndim else None
    assert axis is None or isinstance(axis, int)
    codes = quantize_codes(weight, scales, axis, -128, 127)
    stored = graph.constant(codes, f"{x.name}.codes")
    graph.replace(node.output, stored)
    graph.erase(node)
    return 1


def _unshare(graph: Graph, node: Node) -> int:
    """Give each reader of a DequantizeLinear its own, and each weight's its own initializer."""
    if node.op != "q.dequantize":
        return 0
    value, codes = node.output, node.operands["x"]
    readers = [(reader, slot) for reader in value.readers for slot in reader.slots_of(value)]
    # A graph output counts as a reader, and keeps the first one.
    others = readers if value.is_output else readers[1:]
    for reader, slot in others:
        graph.redirect(reader, slot, value, _copy(graph, node, reader).output)
    assert isinstance(codes, Value)
    if codes.data is not None:
        for other in codes.readers[1:]:
            graph.set_operand(other, "x", graph.constant(np.array(codes.data), codes.name))
    return len(others)


def _copy(graph: Graph, node: Node, reader: Node) -> Node:
    return graph.create(
        node.op,
        dict(node.operands),
        node.attributes,
        types=[node.output.type],
        names=[node.output.name],
        before=reader,
        origin=node.origin,
    )
