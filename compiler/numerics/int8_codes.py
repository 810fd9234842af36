"""INT8 codes and scales of weights: symmetric, zero point 0, round half to even."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sparqc.declared.natives import native
from sparqc.ir.graph import Array
from sparqc.numerics.finite import require_finite

#: The scale of what is zero throughout: the least normal number of FP16, so that it survives a
#: conversion to half precision, where a smaller one would become subnormal or 0.
DEAD_SCALE = 2.0**-14

#: Elements that are worked on at once.
_BLOCK = 1 << 18


@native("quantize_codes")
def quantize_codes(x: Array, scale: Array, axis: int | None, low: int, high: int) -> Array:
    """clip(round(x / scale), low, high) as int8, exactly as ONNX QuantizeLinear computes it.

    The division is in float32 and ties go to the even number.  `scale` is a scalar, or [n] for the
    n slices of `x` along `axis`.  Raises `SparqcError` where `x` has NaN or infinite elements.
    """
    require_finite(x, "the tensor to quantize")
    codes = np.empty(x.shape, np.int8)
    for part, out, step in _blocks(x, codes, _along(scale.astype(np.float32), axis, x.ndim)):
        quotient = np.divide(part.astype(np.float32, copy=False), step)
        np.rint(quotient, out=quotient)
        np.clip(quotient, low, high, out=quotient)
        out[...] = quotient
    return codes


@native("weight_scale")
def weight_scale(w: Array, axis: int | None) -> NDArray[np.float32]:
    """max|w| / 127 for each slice of `w` along `axis` ([n]), or of the whole of it (a scalar).

    A slice that is zero throughout gets a harmless scale, see `safe_scale`.  Raises `SparqcError`
    where `w` has NaN or infinite elements.
    """
    require_finite(w, "the weight to quantize")
    return safe_scale(channel_amax(w, axis) / 127)


def channel_amax(w: Array, axis: int | None) -> NDArray[np.float64]:
    """max|w| for each slice along `axis`, or of the whole, float64."""
    others = tuple(a for a in range(w.ndim) if axis is None or a != axis % w.ndim)
    high, low = w.max(axis=others, initial=0), w.min(axis=others, initial=0)
    return np.maximum(np.asarray(high, np.float64), -np.asarray(low, np.float64))


def safe_scale(scale: Array, dtype: DTypeLike = np.float32, *, in_half: bool = False) -> Array:
    """Scales in a float dtype, where one that is 0 or subnormal there becomes `DEAD_SCALE`.

    What such a scale stands for is zero to the precision of the dtype, hence so are its codes.
    With `in_half` they are normal numbers of FP16, none smaller than what was given, so that
    nothing is clipped.  Channels below these get the least of them where that is no coarser than
    the others' scales are in the root mean square; else all stay as they are, and so does one
    beyond FP16's range.
    """
    least = np.finfo(np.dtype(dtype)).smallest_normal
    live = scale >= least
    safe = np.asarray(np.where(live, scale, DEAD_SCALE), dtype)
    if (
        not in_half
        or not live.any()
        or np.sqrt(np.mean(np.square(safe[live], dtype=np.float64))) < DEAD_SCALE
    ):
        return safe
    return _up_to_half(np.maximum(safe, DEAD_SCALE).astype(dtype))


def _up_to_half(scale: Array) -> Array:
    with np.errstate(over="ignore"):
        half = scale.astype(np.float16)
        half = np.where(half < scale, np.nextafter(half, np.float16(np.inf)), half)
    return np.asarray(np.where(np.isfinite(half), half, scale), scale.dtype)


def _along(scale: Array, axis: int | None, rank: int) -> Array:
    """The scale in a shape that broadcasts against a tensor of that rank."""
    if axis is None:
        return scale.reshape([1] * rank)
    return scale.reshape([-1 if a == axis % rank else 1 for a in range(rank)])


def _blocks(x: Array, out: Array, scale: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Slices of the three along the first axis, so that temporaries stay small."""
    if not x.ndim:
        yield x, out, scale
        return
    step = max(1, _BLOCK * len(x) // max(1, x.size))
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        yield x[part], out[part], scale[part] if scale.shape[0] > 1 else scale
