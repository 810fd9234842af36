"""Which factors per channel make INT8 between two layers the most precise.

Let x be what the layers read and w their weights; with factors s they read s x and have w / s.
Rounding to INT8 adds noise of the variance step^2 / 12 to each number, and the noise of what a
layer gives is, over its outputs k, inputs j and taps,

    A(s) = step_x^2 / 12 * sum over k, j, taps of (w / s_j)^2,     step_x   = max_j s_j |x_j| / 127
    W(s) = sum over k of step_w,k^2 / 12 * sum over j, taps of s_j^2 E[x_j^2],
                                                           step_w,k = max_j |w_kj| / s_j / 127

Equal ranges of all channels of x make A the smallest that it can be; W sets limits to that where
outputs read many channels, not for depthwise layers.  Source of the sums: M. Nagel et al., A White
Paper on Neural Network Quantization, 2021, section 2; equalization: Nagel et al., ICCV 2019, 4.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sparqc.ir.graph import Array
from sparqc.numerics.arrays import Floats

#: Factors of one link lie within this ratio of 1: what is nearly dead needs no resolution.
MOST = 64.0
_EXPONENTS = tuple(np.linspace(0.0, 1.0, 9))


@dataclass(frozen=True)
class Weight:
    """A layer's weight, group by group: max|w| and the sum of w^2 over the taps, both
    [groups, outputs, inputs], and how many taps there are."""

    largest: Floats
    squares: Floats
    taps: int

    @classmethod
    def of(cls, grouped: Array) -> Weight:
        """From a weight [groups, outputs, inputs, taps]."""
        w = np.abs(grouped.astype(np.float64))
        return cls(w.max(axis=3), np.square(w).sum(axis=3), w.shape[3])

    def noise(self, step: float, factors: Floats, power: Floats) -> float:
        """A + W, for 127 times the step of what it reads."""
        s = factors.reshape(len(self.largest), 1, -1)
        inputs = (s**2 * power.reshape(s.shape)).sum(axis=2) * self.taps
        weights = float((np.square((self.largest / s).max(axis=2)) * inputs).sum())
        return self.passed_on(step, factors) + weights

    def passed_on(self, step: float, factors: Floats) -> float:
        """A: what becomes of the rounding of its input, or of a value added on the way there."""
        s = factors.reshape(len(self.largest), 1, -1)
        return step**2 * float((self.squares / s**2).sum())


@dataclass(frozen=True)
class Reading:
    """A value that layers read in INT8: their weights, and of each channel max|x| and E[x^2]."""

    weights: Sequence[Weight]
    ranges: Floats
    power: Floats

    def noise(self, factors: Floats) -> float:
        """The noise of what the layers give."""
        step = float((factors * self.ranges).max())
        return sum(weight.noise(step, factors, self.power) for weight in self.weights)


@dataclass(frozen=True)
class Skip:
    """A value that something else reads in INT8, such as a residual Add: the weights of the layers
    that its noise reaches, and of each channel max|x|."""

    weights: Sequence[Weight]
    ranges: Floats

    def noise(self, factors: Floats) -> float:
        """The noise of what the layers give, of this rounding alone."""
        step = float((factors * self.ranges).max())
        return sum(weight.passed_on(step, factors) for weight in self.weights)


def noise(readings: Iterable[Reading | Skip], factors: Floats) -> float:
    """The noise of everything that reads the channels, times 12 * 127^2."""
    return sum(reading.noise(factors) for reading in readings)


def choose(readings: Sequence[Reading], caps: Floats, skips: Sequence[Skip] = ()) -> Floats:
    """The best factors [C] of a family: between none and equal ranges, and between none and equal
    columns of the weights.

    `caps` is the largest factor that each channel may have; one whose cap is 1 or less keeps the
    factor 1, and so does one that is always 0.
    """
    rounded: list[Reading | Skip] = [*readings, *skips]
    ranges = np.max([_relative(r.ranges) for r in rounded], axis=0)
    columns = _relative(np.max([_column(w) for r in readings for w in r.weights], axis=0))
    free = (ranges > 0) & (caps > 1)
    ranges, columns = np.where(free, ranges, 1.0), np.where(columns > 0, columns, 1.0)
    best = np.ones_like(ranges)
    least = noise(rounded, best)
    for a in _EXPONENTS:
        for b in _EXPONENTS:
            wanted = np.clip(ranges**-a * columns**b, 1 / MOST, MOST)
            factors = np.where(free, np.minimum(wanted, caps), 1.0)
            found = noise(rounded, factors)
            if found < least:
                best, least = factors, found
    return best


def _column(weight: Weight) -> Floats:
    """max|w| of what reads each channel, [C]."""
    column: Floats = weight.largest.max(axis=1).reshape(-1)
    return column


def _relative(x: Floats) -> Floats:
    """Relative to the largest; zeros stay zeros."""
    largest = float(x.max())
    return x / largest if largest else x
