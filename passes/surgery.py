"""The last changes to the ONNX graph: what the target's parser wants of Q/DQ and of weights."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.quantizers import DEQUANTIZE, QUANTIZE
from sparqc.numerics.int8_codes import quantize_codes
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context
from sparqc.rewrite.worklist import rewrite

#: Codes that no kernel takes.
WIDE = ("i16", "i32")


@register
@dataclass(frozen=True)
class Surgery(Pass):
    """Give every quantized weight and every INT8 reader what the target's parser asks for.

    Where the target profile wants it, weights are stored as INT8 codes behind a DequantizeLinear.
    Then the exact cures of the target's checks are carried out: each quantized reader gets an
    initializer and a DequantizeLinear of its own, say, and on a target that reads no codes weights
    become floats behind a Q/DQ pair.  Constants in wider codes, as other tools make them of a bias,
    become floats.
    """

    name = "surgery"
    level = "onnx"
    preserves = "exact"

    def run(self, graph: Graph, context: Context) -> int:
        """Store the weights, then cure what is left; returns the number of changes."""
        changes = sum(_store_wide(graph, node, context) for node in list(_of(graph, DEQUANTIZE)))
        if context.target.weight_form == "int8-dq":
            quantizers = list(_of(graph, QUANTIZE))
            changes += sum(_store_codes(graph, node, context) for node in quantizers)
        checks = context.rules.checks(graph.level, context.target.name)
        cures = [check.repair for check in checks if check.repair is not None]
        exact = [cure for cure in cures if cure.preserves == "exact"]
        return changes + rewrite(graph, exact, context) + graph.drop_dead()


def _of(graph: Graph, op: str) -> Iterator[Node]:
    return (node for node in graph.nodes if node.op == op)


def _store_wide(graph: Graph, node: Node, context: Context) -> int:
    """Replace the DequantizeLinear of a constant in INT16 or INT32 by the floats it gives."""
    codes = _stored(node, WIDE)
    floats = constant_value(node.output, context.table) if codes else None
    if codes is None or floats is None or not context.action.decides(node.output.name):
        return 0
    graph.replace(node.output, graph.constant(floats, f"{codes.name}.floats"))
    graph.erase(node)
    return 1


def _stored(node: Node, dtypes: Collection[str]) -> Value | None:
    """The constant of one of these types that a DequantizeLinear reads, None for another."""
    codes = node.operands["x"]
    stored = isinstance(codes, Value) and codes.data is not None and codes.type.dtype in dtypes
    return codes if isinstance(codes, Value) and stored else None


def _store_codes(graph: Graph, node: Node, context: Context) -> int:
    """Replace a QuantizeLinear of a constant by the codes it gives."""
    x, scale = node.operands["x"], node.operands["scale"]
    assert isinstance(x, Value) and isinstance(scale, Value)
    weight, scales = constant_value(x, context.table), scale.data
    if weight is None or scales is None or not context.action.decides(node.output.name):
        return 0
    axis = node.attributes["axis"] if scales.ndim else None
    assert axis is None or isinstance(axis, int)
    codes = quantize_codes(weight, scales, axis, -128, 127)
    stored = graph.constant(codes, f"{x.name}.codes")
    graph.replace(node.output, stored)
    graph.erase(node)
    return 1
