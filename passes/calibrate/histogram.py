"""A histogram of |x| that grows with its data and does not depend on how the data was batched."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqc.ir.graph import Array
from sparqc.numerics.finite import largest_magnitude

#: Bins of a histogram.  The data fills more than half of them, so that there are always at least
#: the 2048 bins over [0, max] with which TensorRT's entropy calibrator works.
BINS = 4096

#: Elements that are counted at once: two such buffers stay in a core's cache.
_BLOCK = 1 << 16

#: A range below 2**-100 (8e-31) is not resolved further: BINS / limit must be a float32.
_LEAST_EXPONENT = -100


class Histogram:
    """Counts of |x| in `BINS` equal bins over [0, limit), in one pass and in constant memory.

    `limit` is the least power of two above every |x| seen so far.  When a larger value comes,
    bins are merged in pairs until the range holds it.  An element's bin is floor(|x| * BINS /
    limit); the factor is a power of two, hence the product exact, and floor(floor(2y) / 2) =
    floor(y), hence the counts are the same however the data was split into batches.
    """

    __slots__ = ("counts", "exponent", "maximum", "total")

    def __init__(self) -> None:
        #: How many elements fell into each bin, int64.
        self.counts: NDArray[np.int64] = np.zeros(BINS, np.int64)
        #: log2 of the limit; None as long as every element was zero.
        self.exponent: int | None = None
        #: The largest |x| seen.
        self.maximum = 0.0
        #: How many elements were seen.
        self.total = 0

    @property
    def width(self) -> float:
        """The width of a bin."""
        return 0.0 if self.exponent is None else math.ldexp(1.0 / BINS, self.exponent)

    @property
    def occupied(self) -> int:
        """The number of bins up to and with the one that holds the largest element."""
        return int(self.maximum / self.width) + 1 if self.width else 1

    def share_above(self, amax: float) -> float:
        """The share of the elements above `amax`, to the resolution of a bin."""
        if not self.total or amax >= self.maximum:
            return 0.0
        return float(self.counts[math.ceil(amax / self.width) :].sum()) / self.total

    def add(self, x: Array) -> None:
        """Take in an array of any shape and float dtype.

        Raises `ValueError` where an element is NaN or infinite; the histogram then is unchanged.
        """
        if not x.size:
            return
        maximum = largest_magnitude(x)
        if not math.isfinite(maximum):
            raise ValueError("not finite")
        self.maximum = max(self.maximum, maximum)
        self.total += x.size
        if maximum:  # < 2**frexp(maximum)[1]
            self._reach(max(math.frexp(maximum)[1], _LEAST_EXPONENT))
        self._count(x)

    def merge(self, other: Histogram) -> None:
        """Take in everything that `other` saw; it stays as it is."""
        self.maximum = max(self.maximum, other.maximum)
        self.total += other.total
        if other.exponent is None:
            self.counts[0] += other.counts[0]
            return
        self._reach(other.exponent)
        counts, exponent = other.counts, other.exponent
        while self.exponent is not None and exponent < self.exponent:
            counts, exponent = _in_pairs(counts), exponent + 1
        self.counts += counts

    def _reach(self, exponent: int) -> None:
        """Widen the range to 2**exponent at least."""
        while self.exponent is not None and self.exponent < exponent:
            self.counts = _in_pairs(self.counts)
            self.exponent += 1
        self.exponent = exponent if self.exponent is None else self.exponent

    def _count(self, x: Array) -> None:
        if self.exponent is None:
            self.counts[0] += x.size
            return
        flat = x.reshape(-1)
        factor = math.ldexp(BINS, -self.exponent)
        dtype = np.float64 if x.itemsize > 4 else np.float32
        buffer: NDArray[Any] = np.empty(min(flat.size, _BLOCK), dtype)
        for start in range(0, flat.size, _BLOCK):
            block = flat[start : start + _BLOCK]
            bins = buffer[: block.size]
            np.copyto(bins, block, casting="unsafe")
            np.abs(bins, out=bins)
            np.multiply(bins, factor, out=bins)
            self.counts += np.bincount(bins.astype(np.int32), minlength=BINS)


def _in_pairs(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The counts over twice the range."""
    wider = np.zeros_like(counts)
    wider[: BINS // 2] = counts[0::2] + counts[1::2]
    return wider
