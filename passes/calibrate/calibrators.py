"""How the range of a quantizer is chosen from the histogram of what it saw.

Each calibrator turns a histogram of |x| into `amax`, the magnitude that the largest INT8 code
stands for; the scale is amax / 127.  Values above amax saturate.

`Entropy` and `MeanSquaredError` try many ranges.  Both errors are sums over the levels of the
quantizer, and what a level contributes follows from sums over a stretch of bins: with cumulative
sums a range costs one step a level, not one a bin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sparqc.numerics.arrays import Floats
from sparqc.passes.calibrate.histogram import Histogram

Method = Literal["max", "percentile", "entropy", "mse"]

#: Positive levels of INT8, the zero included: the target bins of the entropy method.
_LEVELS = 128

#: The least range that is tried, in bins.
_START = 128

Integers = NDArray[np.int64]


class Calibrator(Protocol):
    """Chooses the range of a quantizer."""

    def amax(self, histogram: Histogram) -> float:
        """The range for a histogram that saw at least one element; 0.0 where all were zero."""


@dataclass(frozen=True)
class Max:
    """amax = max|x|: nothing saturates, outliers cost resolution."""

    def amax(self, histogram: Histogram) -> float:
        """The largest magnitude."""
        return histogram.maximum


@dataclass(frozen=True)
class Percentile:
    """amax is the magnitude below which `percentile` per cent of all elements lie.

    Source: H. Wu et al., Integer Quantization for Deep Learning Inference, 2020, section 3.3.
    """

    percentile: float = 99.99

    def __post_init__(self) -> None:
        if not 0.0 < self.percentile <= 100.0:
            raise ValueError(f"the percentile {self.percentile} is not above 0 and at most 100")

    def amax(self, histogram: Histogram) -> float:
        """The upper edge of the bin that the percentile falls into."""
        wanted = self.percentile / 100.0 * histogram.total
        index = int(np.searchsorted(np.cumsum(histogram.counts), wanted))
        return min((index + 1) * histogram.width, histogram.maximum)


@dataclass(frozen=True)
class Entropy:
    """amax loses the least information: the KL divergence between the clipped distribution and
    the same distribution on 128 levels is the smallest.

    The bin of the zeros counts as much as its neighbour, else the exact zeros that a ReLU leaves
    decide alone.  Another value that is very frequent, such as the background of an image, still
    may pull the range down to itself.

    Source: S. Migacz, 8-bit inference with TensorRT, GTC 2017, as in NVIDIA's pytorch-quantization
    (`_compute_amax_entropy`); of equal divergences the widest range wins.
    """

    def amax(self, histogram: Histogram) -> float:
        """The upper edge of the last bin of the best range."""
        counts = histogram.counts[: histogram.occupied].astype(np.float64)
        if counts.size <= _START:
            return histogram.maximum
        counts[0] = counts[1]
        ranges = _ranges(counts.size)
        divergence = _divergence(counts, ranges)
        best = ranges.size - 1 - int(np.argmin(divergence[::-1]))
        return min(float(ranges[best]) * histogram.width, histogram.maximum)


@dataclass(frozen=True)
class MeanSquaredError:
    """amax makes the mean squared error of quantizing to INT8 the smallest, by a search over the
    histogram: rounding errors grow with the range, saturation errors shrink.

    Source: H. Wu et al., 2020, section 3.3; NVIDIA's pytorch-quantization (`_compute_amax_mse`).
    """

    def amax(self, histogram: Histogram) -> float:
        """The upper edge of the last bin of the best range."""
        counts = histogram.counts[: histogram.occupied].astype(np.float64)
        if counts.size <= _START:
            return histogram.maximum
        ranges = _ranges(counts.size)
        best = int(np.argmin(_squared_error(counts, ranges)))
        return min(float(ranges[best]) * histogram.width, histogram.maximum)


def calibrator(method: Method, percentile: float = 99.99) -> Calibrator:
    """The calibrator of that name; `ValueError` where there is none, or for a percentile that is
    none."""
    known: dict[str, Calibrator] = {
        "max": Max(),
        "percentile": Percentile(percentile),
        "entropy": Entropy(),
        "mse": MeanSquaredError(),
    }
    if method not in known:
        raise ValueError(f"there is no method {method!r}; known: {', '.join(known)}")
    return known[method]


def _ranges(bins: int) -> Integers:
    """The ranges that are tried, in bins: every second one, down from the widest."""
    return np.arange(bins, _START - 1, -2, dtype=np.int64)[::-1]


def _divergence(counts: Floats, ranges: Integers) -> Floats:
    """KL(P || Q) for each range i, where P is counts[:i] with everything above added to its last
    bin, and Q the counts of each of 128 equal groups of bins, spread over the group's non-empty
    bins.  Infinite where the last bin is empty although something lies above."""
    # Group g of range i begins at bin ceil(g * i / 128).
    edges = -(-ranges[:, None] * np.arange(_LEVELS + 1) // _LEVELS)
    mass = _between(counts, edges)
    level = _log(mass) - _log(_between(counts > 0, edges))
    inside, last = mass.sum(axis=1), counts[ranges - 1]
    above = counts.sum() - inside
    p_log_p = _cumulative(_times_log(counts))[ranges] - _times_log(last) + _times_log(last + above)
    p_log_q = (mass * level).sum(axis=1) + above * level[:, -1]
    divergence = (p_log_p - p_log_q) / counts.sum() - np.log(counts.sum()) + _log(inside)
    return np.where((last == 0) & (above > 0), np.inf, divergence)


def _squared_error(counts: Floats, ranges: Integers) -> Floats:
    """The sum of squared errors, in squared bin widths, for each range quantized to 0..127."""
    centers = np.arange(counts.size) + 0.5
    steps = ranges[:, None] / (_LEVELS - 1.0)
    # Level k takes the bins whose centers lie in [(k - 1/2) step, (k + 1/2) step); the last one
    # also takes everything above.
    edges = np.ceil(steps * (np.arange(_LEVELS + 1) - 0.5) - 0.5).astype(np.int64)
    edges[:, 0], edges[:, -1] = 0, counts.size
    levels = steps * np.arange(_LEVELS)
    mass, first = _between(counts, edges), _between(counts * centers, edges)
    second = float((counts * centers**2).sum())
    errors: Floats = (levels * (levels * mass - 2 * first)).sum(axis=1)
    return second + errors


def _cumulative(x: NDArray[Any]) -> Floats:
    """`result[k] = x[:k].sum()`."""
    return np.concatenate(([0.0], np.cumsum(x, dtype=np.float64)))


def _between(x: NDArray[Any], edges: Integers) -> Floats:
    """The sums of x between neighbouring edges, along the last axis."""
    sums: Floats = _cumulative(x)[edges]
    return sums[..., 1:] - sums[..., :-1]


def _log(x: Floats) -> Floats:
    """ln x, and 0 where x is 0: there it is always multiplied by 0."""
    return np.log(np.where(x > 0, x, 1.0))


def _times_log(x: Floats) -> Floats:
    """x ln x, and its limit 0 where x is 0."""
    return x * _log(x)
