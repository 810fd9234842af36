"""Who reads a value, and as what."""

from __future__ import annotations

from collections.abc import Sequence

from sparqc.declared.natives import native
from sparqc.ir.graph import Value


@native("feeds")
def feeds(value: Value, operators: Sequence[str], operands: int) -> bool:
    """Whether one of the operators reads a value as one of its first `operands` operands."""
    return any(
        node.op in operators and value in list(node.inputs)[:operands] for node in value.readers
    )


@native("is_bias")
def is_bias(value: Value) -> bool:
    """Whether every reader of a value adds it to a product as its bias."""
    slots = [(node.op, slot) for node in value.readers for slot in node.slots_of(value)]
    return bool(slots) and all(s in _BIASES for s in slots)


_BIASES = {(op, "b") for op in ("nn.conv", "nn.conv_transpose", "nn.linear")} | {("nn.gemm", "c")}
