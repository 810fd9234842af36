"""How large each channel of a value is over the calibration data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqc.ir.graph import Array

Floats = NDArray[np.float64]


class ChannelStatistics:
    """Of each channel [C]: the largest magnitude, its mean over images, and the mean square."""

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self.largest: Floats = np.zeros(1)
        self._sum_of_largest: Floats = np.zeros(1)
        self._images = 0
        self._squares: Floats = np.zeros(1)
        self._elements = 0

    def add(self, x: Array) -> None:
        """Take in an array [N, ...].  `ValueError` where an element is NaN or infinite."""
        others = tuple(a for a in range(1, x.ndim) if a != self.axis)
        of_images = np.maximum(x.max(axis=others), -x.min(axis=others)).astype(np.float64)
        if not np.isfinite(of_images).all():
            raise ValueError("not finite")
        self.largest = np.maximum(self.largest, of_images.max(axis=0))
        self._sum_of_largest = self._sum_of_largest + of_images.sum(axis=0)
        self._images += len(x)
        squares = np.square(x, dtype=np.float64).sum(axis=(0, *others))
        self._squares = self._squares + squares
        self._elements += x.size // squares.size

    @property
    def usual(self) -> Floats:
        """The mean over images of the largest magnitude."""
        return self._sum_of_largest / max(self._images, 1)

    @property
    def mean_square(self) -> Floats:
        """The mean of x^2."""
        return self._squares / max(self._elements, 1)
