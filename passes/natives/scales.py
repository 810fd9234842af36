"""Scales that belong together: those around one tensor, and those of a Concat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sparqc.declared.natives import native
from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Array, Node, Value
from sparqc.ir.quantizers import QUANTIZE, is_dequantized
from sparqc.ir.vocabulary.table import default_table


def same_quantizer(first: Node, second: Node) -> bool:
    """Whether two quantizers have the same numbers and the same axis."""
    pairs = ((first.operands[slot], second.operands[slot]) for slot in ("scale", "zero_point"))
    return first.attributes == second.attributes and all(_equal(a, b) for a, b in pairs)


def _equal(first: object, second: object) -> bool:
    if first is second:
        return True
    if not isinstance(first, Value) or not isinstance(second, Value):
        return False
    a, b = (constant_value(v, default_table()) for v in (first, second))
    return a is not None and b is not None and a.dtype == b.dtype and np.array_equal(a, b)


@native("largest_scale")
def largest_scale(value: Value) -> Array | None:
    """The largest per-tensor scale among the QuantizeLinears that read a value."""
    return _largest(s for q in value.readers if q.op == QUANTIZE for s in _scales(q))


@native("concat_scale")
def concat_scale(value: Value) -> Array | None:
    """The largest scale among the dequantized inputs of the Concats that read a value."""
    inputs = (v for node in value.readers if node.op == "nn.concat" for v in node.inputs)
    return _largest(
        s for v in inputs if is_dequantized(v) and v.producer for s in _scales(v.producer)
    )


@native("scale_of")
def scale_of(values: Sequence[Value]) -> Array | None:
    """The per-tensor scale that all the values were dequantized with; None where they differ."""
    scales = [s for v in values if v.producer and is_dequantized(v) for s in _scales(v.producer)]
    same = len(scales) == len(values) and len({float(s) for s in scales}) == 1
    return scales[0] if same else None


@native("scale_in_front")
def scale_in_front(value: Value, scale: Array) -> bool:
    """Whether every QuantizeLinear that reads a value has that scale."""
    found = [s for q in value.readers if q.op == QUANTIZE for s in _scales(q)]
    return all(np.array_equal(s, scale) for s in found)


@native("scales_in_front")
def scales_in_front(values: Sequence[Value], scale: Array) -> bool:
    """Whether every QuantizeLinear that reads one of the values has that scale."""
    return all(scale_in_front(v, scale) for v in values)


def _scales(quantizer: Node) -> Iterator[Array]:
    """The per-tensor scale of a quantizer, if it is a constant."""
    operand = quantizer.operands["scale"]
    scale = constant_value(operand, default_table()) if isinstance(operand, Value) else None
    if scale is not None and scale.size == 1:
        yield scale.reshape(())


def _largest(scales: Iterator[Array]) -> Array | None:
    return max((s for s in scales if np.isfinite(s)), key=float, default=None)
