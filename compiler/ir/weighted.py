"""The operators of a graph that multiply by a constant weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from sparqc.ir.constants import constant_value, is_constant
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.quantizers import DEQUANTIZE, FAKE_QUANTIZE
from sparqc.ir.vocabulary.onnx_names import split_name
from sparqc.ir.vocabulary.operator import WeightSpec
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
    #: What the row says of it.
    spec: WeightSpec

    @property
    def data(self) -> Value:
        """What it multiplies by the weight."""
        return cast(Value, self.node.operands[self.spec.data])

    @property
    def bias(self) -> Value | None:
        """What it adds, None where it adds nothing."""
        return cast("Value | None", self.node.operands.get(self.spec.bias or ""))

    @property
    def output_axis(self) -> int:
        """The axis of its output that the channels lie on, from the front."""
        return self.spec.output_axis % (self.node.output.type.rank or 1)


def weighted(graph: Graph, table: OperatorTable) -> Iterator[Weighted]:
    """Every operator with a constant weight, in the order of the graph."""
    for node in graph.nodes:
        if found := weight_of(node, table):
            yield found


@dataclass(frozen=True)
class Unread:
    """An operator with a constant weight in a form that the table does not have: it stays float."""

    node: Node
    weight: Value
    reason: str


def unread(graph: Graph, table: OperatorTable) -> Iterator[Unread]:
    """Every ONNX operator that has a weight in other forms, and is not read in this one."""
    for node in graph.nodes:
        if table.get(node.op) is not None or not node.op.startswith("onnx."):
            continue
        rows = table.for_onnx(*split_name(node.op))
        weights = [v for v in node.inputs if is_constant(v, table) and len(v.shape or ()) > 1]
        if weights and any(row.weight is not None for row in rows):
            yield Unread(node, weights[0], _why_unread(node))


def _why_unread(node: Node) -> str:
    mode = str(node.attributes.get("auto_pad") or "")
    if mode.startswith("SAME"):
        return f"auto_pad={mode} with sizes that are not known"
    return "a form that the operator table does not have"


def weight_spec(node: Node, table: OperatorTable) -> WeightSpec | None:
    """Which operand is the weight of an operator, None where it multiplies by none."""
    row = table.get(node.op)
    return row.weight if row else None


def weight_of(node: Node, table: OperatorTable) -> Weighted | None:
    """The constant weight of one operator, None where it has none."""
    spec = weight_spec(node, table)
    if spec is None:
        return None
    weight = node.operands[spec.operand]
    if not isinstance(weight, Value) or not is_constant(weight, table):
        return None
    axes = spec.channel_axis(node), spec.reduction_axis(node)
    return Weighted(node, weight, spec.operand, *axes, spec)


def stored_constant(value: Value | None) -> Value | None:
    """What lies behind quantizers and masks; None where something else computes it."""
    while value is not None and value.producer is not None:
        if value.producer.op not in (FAKE_QUANTIZE, "sparse.mask"):
            return None
        value = next(value.producer.inputs)
    return value


def stored_array(weight: Value, table: OperatorTable) -> Array | None:
    """The INT8 codes of a quantized weight: as stored behind its DequantizeLinear, or as its
    QuantizeLinear gives them.  The floats of another constant; None for what is none."""
    producer = weight.producer
    if producer is not None and producer.op == DEQUANTIZE:
        weight = cast(Value, producer.operands["x"])
    return constant_value(weight, table)
