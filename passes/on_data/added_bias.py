"""The bias of a layer that has no operand for one: what an Add behind it adds."""

from __future__ import annotations

from dataclasses import dataclass

from sparqc.ir.graph import Node, Value
from sparqc.ir.weighted import Weighted
from sparqc.passes.on_data.reference_value import only_reader


@dataclass(frozen=True)
class AddedBias:
    """An Add of a constant vector, one number for each output channel, that alone reads a layer."""

    node: Node
    operand: str

    @property
    def value(self) -> Value:
        """The constant."""
        found = self.node.operands[self.operand]
        assert isinstance(found, Value)
        return found


def added_bias(found: Weighted) -> AddedBias | None:
    """The Add that gives a layer its bias, as ONNX files write linear layers with a MatMul."""
    output = found.node.output
    reader = only_reader(output)
    if found.spec.bias is not None or reader is None or reader.op != "nn.add":
        return None
    channels = output.shape[found.output_axis] if output.shape else None
    for operand in ("a", "b"):
        value = reader.operands[operand]
        if (
            isinstance(value, Value)
            and value.is_const
            and value.shape == (channels,)
            and found.output_axis == len(output.shape or ()) - 1
        ):
            return AddedBias(reader, operand)
    return None
