"""How large each channel of a value is over the calibration data."""

from __future__ import annotations

import numpy as np

from sparqc.ir.graph import Array
from sparqc.numerics.arrays import Floats

#: A channel whose peak in an image is below this share of the image's peak counts as that large:
#: with one scale for all channels, less than a code.
_FAINTEST = 1 / 128


class ChannelStatistics:
    """Of each channel [C]: the largest magnitude, its spread over the images, the mean square.

    In constant memory, and in one pass; images lie along axis 0.
    """

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self.largest: Floats = np.zeros(1)
        self._squares: Floats = np.zeros(1)
        self._elements = 0
        self._images = 0
        #: Mean, and sum of squared deviations, of the logarithm of each image's peak.
        self._log_mean: Floats = np.zeros(1)
        self._log_squares: Floats = np.zeros(1)

    def add(self, x: Array) -> None:
        """Take in an array [N, ...].  `ValueError` where an element is NaN or infinite."""
        peaks = self._peaks(x)
        if not np.isfinite(peaks).all():
            raise ValueError("not finite")
        self.largest = np.maximum(self.largest, peaks.max(axis=0))
        others = tuple(a for a in range(x.ndim) if a != self.axis)
        squares = np.square(x, dtype=np.float64).sum(axis=others)
        self._squares = self._squares + squares
        self._elements += x.size // squares.size
        for image in peaks:
            self._add_peaks(image)

    def _peaks(self, x: Array) -> Floats:
        """The largest magnitude of each image and channel, [N, C]."""
        within = tuple(a for a in range(1, x.ndim) if a != self.axis)
        peaks: Floats = np.maximum(x.max(axis=within), -x.min(axis=within)).astype(np.float64)
        return peaks if self.axis else peaks[None]

    def _add_peaks(self, image: Floats) -> None:
        """Welford's recurrence, on the logarithms of one image's peaks [C]."""
        top = image.max()
        if not top:
            return
        logs = np.log(np.maximum(image, _FAINTEST * top))
        self._images += 1
        delta = logs - self._log_mean
        self._log_mean = self._log_mean + delta / self._images
        self._log_squares = self._log_squares + delta * (logs - self._log_mean)

    def expected(self, margin: float) -> Floats:
        """How large each channel may be on other data, at most as large as the largest one.

        The largest magnitude that was seen, and `margin` standard deviations of the logarithm of
        the images' peaks above it: channels that few images excite may be much larger elsewhere,
        those that all excite alike will not.
        """
        spread = np.sqrt(self._log_squares / max(self._images, 1))
        larger: Floats = np.minimum(self.largest * np.exp(margin * spread), self.largest.max())
        return larger

    @property
    def mean_square(self) -> Floats:
        """The mean of x^2."""
        return self._squares / max(self._elements, 1)
