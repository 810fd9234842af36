"""What stands directly in front of a value: dequantizers, movers, inputs, convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from sparqc.declared.natives import native
from sparqc.ir import quantizers
from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Value
from sparqc.ir.quantizers import CONVERSIONS, QUANTIZE
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.natives.placement import bare_branch, depths


@native("is_dequantized")
def is_dequantized(value: Value) -> bool:
    """Whether a value comes straight from a DequantizeLinear."""
    return quantizers.is_dequantized(value)


@native("runs_in_int8")
def runs_in_int8(result: Value) -> bool:
    """Whether the operator that gives a value reads data and weights from DequantizeLinears."""
    return result.producer is not None and quantizers.runs_in_int8(result.producer)


@native("dequantized_inputs")
def dequantized_inputs(values: Sequence[Value]) -> int:
    """How many of the values come straight from a DequantizeLinear."""
    return sum(map(is_dequantized, values))


@native("computed_inputs")
def computed_inputs(values: Sequence[Value]) -> int:
    """How many of the values are no constants."""
    table = default_table()
    return sum(not is_constant(v, table) for v in values)


@native("nearly_dequantized")
def nearly_dequantized(value: Value) -> bool:
    """Whether a value comes from a DequantizeLinear, at most one Transpose or Cast in between."""
    node = value.producer
    if node is not None and node.op in ("nn.transpose", "nn.cast"):
        value = next(node.inputs)
    return is_dequantized(value)


@native("from_one_of")
def from_one_of(value: Value, operators: Sequence[str]) -> bool:
    """Whether one of the operators gives a value."""
    return value.producer is not None and value.producer.op in operators


@native("moves_codes")
def moves_codes(value: Value, movers: Sequence[str]) -> bool:
    """Whether one of the movers gives a value, and reads what was dequantized."""
    node = value.producer
    return node is not None and node.op in movers and any(map(is_dequantized, node.inputs))


@native("only_read_once")
def only_read_once(value: Value) -> bool:
    """Whether one operator reads a value, and it is no graph output."""
    return value.reader_count == 1 and not value.is_output


@native("from_input")
def from_input(codes: Value) -> bool:
    """Whether codes were quantized from an input of the graph, or from what a Cast makes of it."""
    source = quantized_from(codes)
    while source is not None and source.producer is not None and source.producer.op == "nn.cast":
        source = next(source.producer.inputs)
    return source is not None and source.is_input


@native("comes_from_conv")
def comes_from_conv(codes: Value) -> bool:
    """Whether codes were quantized from a convolution's own result, which nobody else reads."""
    source = quantized_from(codes)
    if source is None or codes.reader_count != 1:
        return False
    return from_one_of(source, ["nn.conv"]) and only_read_once(source)


@native("stays_bare")
def stays_bare(branch: Value, codes: Value) -> bool:
    """Whether `branch`, a convolution's result, is the input of an Add that stays bare, where the
    other input is dequantized from `codes`."""
    source = quantized_from(codes)
    return source is None or not comes_from_conv(codes) or bare_branch(branch, source)


@native("longer_branch")
def longer_branch(branch: Value, codes: Value) -> bool:
    """Whether `codes` were quantized from a convolution alone that lies deeper than `branch`, both
    in operators and in weighted operators."""
    source = quantized_from(codes)
    if source is None or not comes_from_conv(codes) or branch.producer is None:
        return False
    deeper = depths(branch.producer.graph)
    return deeper[source] > deeper[branch] and _weights_above(source) > _weights_above(branch)


def quantized_from(codes: Value) -> Value | None:
    """The value that a QuantizeLinear made codes of."""
    node = codes.producer
    source = node.operands["x"] if node is not None and node.op == QUANTIZE else None
    return source if isinstance(source, Value) else None


def _weights_above(value: Value) -> int:
    """The most weighted operators on a path of single readers that ends in the value."""
    table, count, node = default_table(), 0, value.producer
    while node is not None:
        row = table.get(node.op)
        count += row is not None and row.weight is not None
        node = next((v.producer for v in node.inputs if v.reader_count == 1 and v.producer), None)
    return count


@native("same_tensor")
def same_tensor(first: Value, second: Value) -> bool:
    """Whether two values are one tensor, quantized and dequantized or not."""
    return unquantized(first) is unquantized(second)


@native("gates_itself")
def gates_itself(value: Value, gate: Value) -> bool:
    """Whether `gate` is computed from `value` itself by one operator, as the sigmoid of a SiLU."""
    node = unquantized(gate).producer
    return node is not None and any(unquantized(v) is unquantized(value) for v in node.inputs)


def unquantized(value: Value) -> Value:
    """The tensor behind its quantizers."""
    while (node := value.producer) is not None and node.op in CONVERSIONS:
        operand = node.operands["x"]
        assert isinstance(operand, Value)
        value = operand
    return value
