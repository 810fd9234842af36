"""How large each channel of a value is over the calibration data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqc.ir.graph import Array

Floats = NDArray[np.float64]


class ChannelStatistics:
    """Of each channel [C]: the largest magnitude and the mean square."""

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self.largest: Floats = np.zeros(1)
        self._squares: Floats = np.zeros(1)
        self._elements = 0

    def add(self, x: Array) -> None:
        """Take in an array [N, ...].  `ValueError` where an element is NaN or infinite."""
        others = tuple(a for a in range(x.ndim) if a != self.axis)
        largest = np.maximum(x.max(axis=others), -x.min(axis=others)).astype(np.float64)
        if not np.isfinite(largest).all():
            raise ValueError("not finite")
        self.largest = np.maximum(self.largest, largest)
        squares = np.square(x, dtype=np.float64).sum(axis=others)
        self._squares = self._squares + squares
        self._elements += x.size // squares.size

    @property
    def mean_square(self) -> Floats:
        """The mean of x^2."""
        return self._squares / max(self._elements, 1)
