"""What the checks ask of scales, zero points and codes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

from sparqc.declared.natives import native
from sparqc.ir import quantizers
from sparqc.ir.graph import Array, Value
from sparqc.ir.vocabulary.table import default_table
from sparqc.ir.weighted import weight_spec


@native("normal_scale")
def normal_scale(scale: Array) -> bool:
    """Whether every scale is finite, positive and not subnormal in its own floating type."""
    if scale.size == 1 and scale.dtype.kind not in "iub":  # nearly all; masks cost ten times that
        return _least_normal(scale.dtype) <= float(scale.reshape(())) < math.inf
    return not _abnormal(scale).any()


@native("abnormal_scale")
def abnormal_scale(scale: Array) -> str:
    """Which scales are no normal numbers: "0.0 at 3 of 64, and 2 more"; "" where all are."""
    found = np.flatnonzero(_abnormal(scale))
    if not found.size:
        return ""
    first = f"{scale.reshape(-1)[found[0]]!s} at {found[0]} of {scale.size}"
    return first if found.size == 1 else f"{first}, and {found.size - 1} more"


def _abnormal(scale: Array) -> Array:
    """Where scales are NaN, infinite, zero, negative or subnormal; nowhere for other types."""
    if scale.dtype.kind in "iub":
        return np.zeros(scale.size, np.bool_)
    numbers = scale.reshape(-1).astype(np.float64)
    return ~(np.isfinite(numbers) & (numbers >= _least_normal(scale.dtype)))


@cache
def _least_normal(dtype: np.dtype[Any]) -> float:
    """The least positive normal number of a floating type, bfloat16 among them."""
    return float(ml_dtypes.finfo(dtype).tiny)  # type: ignore[no-untyped-call]


@native("all_zero")
def all_zero(zero_point: Array | None) -> bool:
    """Whether a zero point is the constant 0 throughout; an omitted one is."""
    return zero_point is None or not np.asarray(zero_point).any()


@native("filled_with")
def filled_with(array: Array | None, number: int) -> bool:
    """Whether every element of a constant is that number; an absent one has none."""
    return array is not None and bool((array == number).all())


@native("same_numbers")
def same_numbers(first: Array | None, second: Array | None) -> bool:
    """Whether two constants hold the same numbers, whatever tensors they stand in."""
    return first is not None and second is not None and np.array_equal(first, second)


@native("ratio")
def ratio(first: Array, second: Array) -> float:
    """The larger of two scales over the smaller, to three digits; infinite where one is 0."""
    numbers = sorted((float(np.max(first)), float(np.max(second))))
    return float(f"{numbers[1] / numbers[0]:.3g}") if numbers[0] > 0 else float("inf")


@native("scales_fit")
def scales_fit(scale: Array, shape: Sequence[int | str] | None, axis: int | None) -> bool:
    """Whether there is one scale, or one for each entry of the axis of a tensor of this shape."""
    if scale.size == 1 or shape is None or axis is None:
        return True
    if not -len(shape) <= axis < len(shape):
        return False
    return scale.ndim == 1 and (isinstance(shape[axis], str) or shape[axis] == scale.size)


@native("is_rounded")
def is_rounded(constant: Value) -> bool:
    """Whether a constant is computed through a quantizer or a dequantizer."""
    stack, seen = [constant], {constant}
    while stack:
        node = stack.pop().producer
        if node is not None and node.op.startswith("q."):
            return True
        new = {v for v in node.inputs if v not in seen} if node is not None else set()
        seen |= new
        stack += new
    return False


@native("value_of")
def value_of(constant: Array) -> Array:
    """The numbers of a constant expression: of a dequantized bias its floats."""
    return constant


@native("one_scale")
def one_scale(weight: Array) -> Array:
    """The scale of a whole weight, in its type, whose largest magnitude becomes the code 127; the
    smallest normal number where all of it is zero."""
    scale = np.abs(weight.astype(np.float64)).max(initial=0.0) / 127
    return np.asarray(max(scale, float(np.finfo(weight.dtype).tiny)), weight.dtype)


@native("copied")
def copied(constant: Array) -> Array:
    """A constant of the same numbers that nobody else reads."""
    return constant.copy()


@native("signed_codes")
def signed_codes(codes: Array) -> Array:
    """uint8 codes with the zero point 128 as the int8 codes with the zero point 0."""
    return (codes.astype(np.int16) - 128).astype(np.int8)


@native("transposed")
def transposed(array: Array, perm: Sequence[int]) -> Array:
    """A constant with its axes in that order."""
    return np.ascontiguousarray(array.transpose(perm))


@native("axis_behind")
def axis_behind(axis: int | None, perm: Sequence[int]) -> int | None:
    """Where an axis stands once the axes are in that order; None (per tensor) stays None."""
    return None if axis is None else list(perm).index(axis % len(perm))


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
    spec = weight_spec(node, default_table())
    if spec is None or node.operands[spec.operand] is not weight:
        return True
    return axis % len(weight.shape) == spec.channel_axis(node) % len(weight.shape)


@native("runs_in_int8")
def runs_in_int8(result: Value) -> bool:
    """Whether the operator that gives a value reads data and weights from DequantizeLinears."""
    return result.producer is not None and quantizers.runs_in_int8(result.producer)
