"""What a bias lacks, so that the mean behind the activation is what it should be."""

from __future__ import annotations

import numpy as np

from sparqc.ir.graph import Array
from sparqc.numerics.arrays import Floats

#: A shift below this share of the output is the rounding of float sums.
_LEAST = 1e-5
#: Newton steps that a batch may take to its own answer.
_STEPS = 4


class MeanError:
    """The shift of each channel that gives the right mean behind the activation.

    An activation such as ReLU leaves what lies between two bounds: with outputs q, wanted ones r,
    the shift s solves mean(clip(q + s)) = mean(clip(r)).  What is cut off on both sides does not
    count.  (In front of the activation the means would be wrong to compare, since errors that are
    cut off would move what is not; and the shift of least squared error cuts off too much: it
    turns channels off in which there is noise, and the layers behind miss their mean.)
    """

    def __init__(self, axis: int, bounds: tuple[float, float]) -> None:
        #: The channel axis of the outputs.
        self.axis = axis
        self.bounds = bounds
        #: Sums over images of n, d, n^2, n d and d^2 in each channel: n elements count, and the sum
        #: of the shifts that they want is d.
        self._sums: Floats = np.zeros((5, 1))
        self._expected: list[Array] = []
        self._energy = 0.0
        self._elements = 0

    def expect(self, array: Array) -> None:
        """Take in what the outputs should be, [N, ...], in one or several parts; not copied."""
        self._expected.append(array)
        self._energy += float(np.vdot(array, array))
        self._elements += array.size

    def correct(self, array: Array) -> Array:
        """Take in what the outputs are, for everything expected since; the outputs shifted."""
        wanted = np.concatenate(self._expected) if len(self._expected) > 1 else self._expected[0]
        self._expected.clear()
        shift, steps = self.shift, 1 if self.bounds == (-np.inf, np.inf) else _STEPS
        for step in range(steps):
            n, d = self._lacks(wanted, array, shift)
            if step + 1 < steps:
                shift = shift + d.sum(axis=0) / np.maximum(n.sum(axis=0), 1)
        d = d + shift * n
        self._sums = self._sums + [x.sum(axis=0) for x in (n, d, n * n, n * d, d * d)]
        return self._shifted(array, self.shift)

    def _lacks(self, wanted: Array, array: Array, shift: Floats) -> tuple[Floats, Floats]:
        """For each image and channel, how many elements count, and the sum of what they lack."""
        low, high = self.bounds
        others = tuple(a for a in range(1, array.ndim) if a != self.axis % array.ndim)
        shifted = self._shifted(array, shift)
        if self.bounds == (-np.inf, np.inf):
            lacks = (wanted - shifted).sum(axis=others, dtype=np.float64)
            return np.full(lacks.shape, float(wanted[0].size // lacks.shape[1])), lacks
        counts = ((wanted > low) & (wanted < high)) | ((shifted > low) & (shifted < high))
        lacks = np.clip(wanted, low, high) - np.clip(shifted, low, high)
        n = counts.sum(axis=others, dtype=np.float64)
        return n, lacks.sum(axis=others, dtype=np.float64)

    def _shifted(self, array: Array, shift: Floats) -> Array:
        shape = [1] * array.ndim
        shape[self.axis] = -1
        result: Array = array + shift.reshape(shape).astype(array.dtype)
        return result

    @property
    def shift(self) -> Floats:
        """What the bias lacks, [C]: the mean d / n, reduced by the share of it that is chance.

        With a mean m of variance v, the expected squared error is the smallest for
        m * max(0, 1 - v / m^2) (James and Stein, 1961); v is that of a ratio of sums over images.
        """
        n, d, nn, nd, dd = self._sums
        count = np.maximum(n, 1)
        mean = d / count
        variance = np.maximum(dd - 2 * mean * nd + mean**2 * nn, 0) / count**2
        square = np.maximum(mean**2, np.finfo(np.float64).tiny)
        shift: Floats = mean * np.maximum(1 - variance / square, 0)
        return shift

    @property
    def size(self) -> float:
        """Root mean square of the shift over the channels."""
        return float(np.sqrt(np.mean(self.shift**2)))

    @property
    def is_small(self) -> bool:
        """Whether the shift is no larger than chance."""
        return self.size <= _LEAST * self.signal

    @property
    def signal(self) -> float:
        """Root mean square of what the outputs should be."""
        return float(np.sqrt(self._energy / max(self._elements, 1)))
