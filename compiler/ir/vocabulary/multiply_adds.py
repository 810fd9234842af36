"""Products of sizes, for the rows that say how many multiply-adds their operator takes."""

from __future__ import annotations

from math import prod

from sparqc.ir.graph import Node, Value
from sparqc.ir.types import Shape


def shape_of(node: Node, slot: str, first: int = 0) -> Shape | None:
    """The sizes of an operand from the axis `first` on; None where its rank is not known."""
    value = node.operands[slot]
    return value.shape[first:] if isinstance(value, Value) and value.shape is not None else None


def size_of(node: Node, slot: str, axis: int) -> Shape | None:
    """The size of one axis of an operand, by itself; None where there is no such axis."""
    shape = shape_of(node, slot)
    known = shape is not None and -len(shape) <= axis < len(shape)
    return (shape[axis],) if shape is not None and known else None


def product(*shapes: Shape | None) -> int | None:
    """The product of all sizes, None where one of them is not known."""
    sizes = [size for shape in shapes for size in (("?",) if shape is None else shape)]
    known = [size for size in sizes if isinstance(size, int)]
    return prod(known) if len(known) == len(sizes) else None
