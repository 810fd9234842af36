"""The operators of a graph that multiply by a constant weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from sparqc.ir.constants import constant_value, is_constant
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.quantizers import DEQUANTIZE
from sparqc.ir.vocabulary.table import OperatorTable


@dataclass(frozen=True)
class Weighted:
    """One such operator: its weight, the operand it stands in, and what the weight's axes mean."""

    node: Node
    weight: Value
    operand: str
    #: The output-channel axis of the stored tensor, along which per-channel scales run.
    channel_axis: int
    #: The axis that is summed over, along which 2:4 runs.
    reduction_axis: int


def weighted(graph: Graph, table: OperatorTable) -> Iterator[Weighted]:
    """Every operator with a constant weight, in the order of the graph."""
    for node in graph.nodes:
        if found := weight_of(node, table):
            yield found


def weight_of(node: Node, table: OperatorTable) -> Weighted | None:
    """The constant weight of one operator, None where it has none."""
    operator = table.get(node.op)
    if operator is None or operator.weight is None:
        return None
    spec = operator.weight
    weight = node.operands[spec.operand]
    if not isinstance(weight, Value) or not is_constant(weight, table):
        return None
    return Weighted(node, weight, spec.operand, spec.channel_axis(node), spec.reduction_axis(node))


def stored_array(weight: Value, table: OperatorTable) -> Array | None:
    """The INT8 codes of a quantized weight: as stored behind its DequantizeLinear, or as its
    QuantizeLinear gives them.  The floats of another constant; None for what is none."""
    producer = weight.producer
    if producer is not None and producer.op == DEQUANTIZE:
        weight = cast(Value, producer.operands["x"])
    return constant_value(weight, table)
