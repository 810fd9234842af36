"""What the checks ask of scales, zero points and the values around a quantizer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparqc.ir.graph import Array, Value
from sparqc.ir.table import default_table
from sparqc.natives import native


@native("normal_scale")
def normal_scale(scale: Array) -> bool:
    """Whether every scale is finite, positive and not subnormal in its own floating type."""
    if scale.dtype.kind != "f":
        return True  # a type that numpy does not know as floating: nothing can be said
    tiny = np.finfo(scale.dtype).tiny
    return bool(np.isfinite(scale).all() and (scale >= tiny).all())


@native("all_zero")
def all_zero(zero_point: Array | None) -> bool:
    """Whether a zero point is the constant 0 throughout; an omitted one is."""
    return zero_point is None or not np.asarray(zero_point).any()


@native("same_numbers")
def same_numbers(first: Array | None, second: Array | None) -> bool:
    """Whether two constants hold the same numbers, whatever tensors they stand in."""
    return first is not None and second is not None and np.array_equal(first, second)


@native("scales_fit")
def scales_fit(scale: Array, shape: Sequence[int | str] | None, axis: int | None) -> bool:
    """Whether there is one scale, or one for each entry of the axis of a tensor of this shape."""
    if scale.size == 1 or shape is None or axis is None:
        return True
    if not -len(shape) <= axis < len(shape):
        return False
    return scale.ndim == 1 and (isinstance(shape[axis], str) or shape[axis] == scale.size)


@native("is_dequantized")
def is_dequantized(value: Value) -> bool:
    """Whether a value comes straight from a DequantizeLinear."""
    return value.producer is not None and value.producer.op == "q.dequantize"


@native("comes_from_conv")
def comes_from_conv(codes: Value) -> bool:
    """Whether codes were quantized from a convolution's own result, which nobody else reads."""
    quantize = codes.producer
    if quantize is None or quantize.op != "q.quantize":
        return False
    source = quantize.operands["x"]
    if not isinstance(source, Value) or source.producer is None:
        return False
    alone = len(source.readers) == 1 and len(codes.readers) == 1 and not source.is_output
    return source.producer.op == "nn.conv" and alone


@native("is_stored")
def is_stored(value: Value) -> bool:
    """Whether a constant stands in the file as it is, rather than being computed from others."""
    return value.data is not None


@native("symmetric_codes")
def symmetric_codes(codes: Array) -> bool:
    """Whether INT8 codes leave out -128, as those of weights do."""
    return bool((codes != -128).all())


@native("is_channel_axis")
def is_channel_axis(result: Value, weight: Value, axis: int | None) -> bool:
    """Whether an axis of a weight holds the output channels of the operator that reads it."""
    node = result.producer
    if node is None or axis is None or weight.shape is None:
        return True
    operator = default_table().get(node.op)
    if operator is None or operator.weight is None:
        return True
    if node.operands[operator.weight.operand] is not weight:
        return True
    return axis % len(weight.shape) == operator.weight.channel_axis(node) % len(weight.shape)
