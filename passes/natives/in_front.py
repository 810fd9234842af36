"""What stands in front of a value of a graph with quantizers."""

from __future__ import annotations

from collections.abc import Sequence

from sparqc.declared.natives import native
from sparqc.ir import quantizers
from sparqc.ir.graph import Value
from sparqc.ir.quantizers import QUANTIZE


@native("runs_in_int8")
def runs_in_int8(result: Value) -> bool:
    """Whether the operator that gives a value reads data and weights from DequantizeLinears."""
    return result.producer is not None and quantizers.runs_in_int8(result.producer)


@native("from_one_of")
def from_one_of(value: Value, operators: Sequence[str]) -> bool:
    """Whether one of the operators gives a value."""
    return value.producer is not None and value.producer.op in operators


@native("from_input")
def from_input(codes: Value) -> bool:
    """Whether codes were quantized from an input of the graph, or from what a Cast makes of it."""
    node = codes.producer
    value = node.operands["x"] if node is not None and node.op == QUANTIZE else None
    while isinstance(value, Value) and value.producer and value.producer.op == "nn.cast":
        value = next(value.producer.inputs)
    return isinstance(value, Value) and value.is_input
