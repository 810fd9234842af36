"""What a bias lacks: the mean error of a layer's output where the activation behind it lets
errors pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqc.ir.graph import Array

Floats = NDArray[np.float64]


class MeanError:
    """The shift of a bias that makes the squared error behind the activation the smallest.

    With outputs q, wanted ones r and an activation that leaves what lies between two bounds, the
    squared error of clip(q + shift) against clip(r) is stationary in the shift where the error's
    mean over the elements inside of the bounds is 0: an error that a ReLU cuts off does not count.
    Each batch is measured at the shift found so far, and gives one Newton step of that equation.
    """

    def __init__(self, axis: int, bounds: tuple[float, float]) -> None:
        #: The channel axis of the outputs.
        self.axis = axis
        self.bounds = bounds
        #: Sums over images of n, d, n^2, n d and d^2 in each channel, where n counts the elements
        #: inside and d is the sum of the shifts that they want.
        self._sums: Floats = np.zeros((5, 1))
        self._expected: list[Array] = []
        self._energy = 0.0
        self._elements = 0

    def expect(self, array: Array) -> None:
        """Take in what the outputs should be, [N, ...], in one or several parts."""
        self._expected.append(np.clip(array, *self.bounds))
        self._energy += float(np.square(array, dtype=np.float64).sum())
        self._elements += array.size

    def correct(self, array: Array) -> Array:
        """Take in what the outputs are, for everything expected since; the outputs shifted."""
        expected = np.concatenate(self._expected)
        self._expected.clear()
        shape = [1] * array.ndim
        shape[self.axis] = -1
        shift = self.shift
        result: Array = array + shift.reshape(shape).astype(array.dtype)
        low, high = self.bounds
        inside = (result > low) & (result < high)
        lacks = np.where(inside, expected - result, 0)
        others = tuple(a for a in range(1, array.ndim) if a != self.axis % array.ndim)
        n = inside.sum(axis=others, dtype=np.float64)
        d = lacks.sum(axis=others, dtype=np.float64) + shift * n
        self._sums = self._sums + [x.sum(axis=0) for x in (n, d, n * n, n * d, d * d)]
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
    def signal(self) -> float:
        """Root mean square of what the outputs should be."""
        return float(np.sqrt(self._energy / max(self._elements, 1)))
