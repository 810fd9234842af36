"""Which operands arrive as INT8 codes in a graph with quantizers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparqc.ir.graph import Node, Value
from sparqc.ir.quantizers import CONVERSIONS, QUANTIZE
from sparqc.predict.units import Units

#: An operand: the value that its operator gives first, the slot, and the tensor in it, whether it
#: is quantized in between or not.
Operand = tuple[str, str, str]


def arrivals(units: Units) -> Mapping[Operand, float]:
    """The scale of each operand that is codes, also behind data movement; constants left out.

    An operand of an operator that moves data is one where the operator moves codes.
    """
    found: dict[Operand, float] = {}
    for node in units.graph.nodes:
        if node.op in CONVERSIONS or node in units.skipped or not node.outputs:
            continue
        for value in dict.fromkeys(node.inputs):
            if (scale := _scale(node, value, units)) is not None:
                found.update(dict.fromkeys(operands(node, value), scale))
    return found


def _scale(node: Node, value: Value, units: Units) -> float | None:
    if node in units.flow.movements:
        return units.moved.get(node)
    return units.flow.codes.get(value)


def operands(node: Node, value: Value) -> list[Operand]:
    """The operands of an operator in which a value stands."""
    return [(node.output.name, slot, tensor(value).name) for slot in node.slots_of(value)]


def tensor(value: Value) -> Value:
    """The tensor behind quantizers."""
    while (node := value.producer) is not None and node.op in CONVERSIONS:
        operand = node.operands["x"]
        assert isinstance(operand, Value)
        value = operand
    return value


def quantizers(value: Value) -> Iterator[Node]:
    """The QuantizeLinears of a tensor."""
    return (node for node in value.readers if node.op == QUANTIZE)
