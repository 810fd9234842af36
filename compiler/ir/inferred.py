"""What type inference says of one operator, at either level."""

from __future__ import annotations

from dataclasses import dataclass

from sparqc.ir.graph import TensorType


@dataclass(frozen=True)
class Inferred:
    """The types of the outputs of a node, as far as they follow from its operands."""

    #: One for each output, with what cannot be told left open; none where nothing can.
    types: tuple[TensorType, ...] = ()
    #: What the library says of operands that do not go together; "" where it takes them.
    refusal: str = ""

    def of(self, index: int) -> TensorType:
        """The type of one output."""
        return self.types[index] if index < len(self.types) else TensorType()


def first_line(error: BaseException) -> str:
    """What an error says, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
