"""How good a range is for what a quantizer sees: signal-to-noise ratio and outliers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sparqc.ir.graph import Array
from sparqc.passes.calibrate.histogram import BINS, Histogram

#: The share of the elements that are no outliers.
USUAL = 0.9999
#: Points of each bin at which the rounding error is taken.
_POINTS = 4


def snr_of_histogram(seen: Histogram, step: float, high: int = 127) -> float | None:
    """10 log10(sum x^2 / sum (x - q(x))^2) in dB for q(x) = clip(round(x / step)) * step.

    |x| is taken to be spread evenly over each bin.  None where there is no signal.
    """
    if not seen.maximum:
        return None
    points = (np.arange(_POINTS * BINS) + 0.5) * (seen.width / _POINTS)
    counts = np.repeat(seen.counts / _POINTS, _POINTS)
    noise = points - np.minimum(np.rint(points / step), high) * step
    # No dot product: for so few numbers waking the threads of BLAS costs a hundred times the sum.
    return _decibels(float((counts * points**2).sum()), float((counts * noise**2).sum()))


def snr_of_array(x: Array, step: Array, axis: int | None, high: int = 127) -> float | None:
    """The same for an array, with a step for each slice along `axis` or one for all."""
    signal = noise = 0.0
    for part, size in _slices(x, step, axis):
        codes = np.clip(np.rint(part / size), -high, high)
        signal += float(np.square(part).sum())
        noise += float(np.square(part - codes * size).sum())
    return _decibels(signal, noise)


def outliers_of_histogram(seen: Histogram) -> float:
    """max|x| over the magnitude that 99.99 % of the elements stay below; 1 where all are zero.

    The percentile is the upper edge of its bin, hence the ratio at most so much too small.
    """
    if not seen.maximum:
        return 1.0
    index = int(np.searchsorted(np.cumsum(seen.counts), USUAL * seen.total))
    return seen.maximum / min((index + 1) * seen.width, seen.maximum)


def outliers_of_array(x: Array) -> float:
    """The same for an array; 1 where 99.99 % of it are zero."""
    magnitudes = np.abs(x).ravel()
    if not magnitudes.size:
        return 1.0
    last = magnitudes.size - 1
    below = int(USUAL * last)
    magnitudes.partition((below, min(below + 1, last)))
    lower, upper = magnitudes[below], magnitudes[min(below + 1, last)]
    usual = float(lower) + (USUAL * last - below) * float(upper - lower)
    return float(magnitudes[below:].max()) / usual if usual else 1.0


def _slices(x: Array, step: Array, axis: int | None) -> list[tuple[NDArray[np.float64], float]]:
    if axis is None:
        return [(x.astype(np.float64), float(step))]
    rows = np.moveaxis(x, axis, 0)
    return [(row.astype(np.float64), float(s)) for row, s in zip(rows, step, strict=True)]


def _decibels(signal: float, noise: float) -> float | None:
    if not signal:
        return None
    return 10 * math.log10(signal / noise) if noise else math.inf
