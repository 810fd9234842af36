"""How much nearer one graph is to the float network than another, on samples that neither knows.

The measure is the noise of the outputs, sum (y' - y)^2 over the samples by sum y^2, averaged over
the outputs: its logarithm is the signal-to-noise ratio in dB.  Both graphs run on the same samples,
so that the difference between them has an error much smaller than that of either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sparqc.ir.graph import Array, Graph
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.uncalibrated import without_uncalibrated
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.numerics.arrays import Floats
from sparqc.rewrite.context import Batch

#: From so many dB on a gain is worth a change.
LEAST_GAIN = 0.05


@dataclass(frozen=True)
class Gain:
    """By how much the noise of the outputs becomes smaller, and how sure that is."""

    decibels: float
    #: The standard error of it, over the samples.
    error: float

    def exceeds(self, errors: float, price: float = 0.0) -> bool:
        """Whether it is worth a change, more than its price in dB, and more than so many of its
        standard errors."""
        return self.decibels > max(LEAST_GAIN, price, errors * self.error)


class Judge:
    """Compares graphs with a float network on some samples that are held back."""

    def __init__(
        self,
        reference: Graph,
        batches: Sequence[Batch],
        table: OperatorTable,
        *,
        free_size: bool = False,
    ) -> None:
        """With `free_size` each output may be multiplied by the factor that serves it best: what
        is left is sin^2 of the angle to what was wanted.  Of networks that lost much, plain noise
        prefers the one that says least."""
        self._batches, self._table, self._free_size = batches, table, free_size
        self._wanted = list(self._outputs(reference))
        first = self._wanted[0] if self._wanted else []
        floats = [i for i, y in enumerate(first) if y.dtype.kind == "f"]
        #: The outputs that count: floats; where there are none, how many entries are others.
        self._places = floats or list(range(len(first)))

    def noise(self, graph: Graph) -> Floats:
        """The noise of each sample, [N], infinite where an output is not finite that was.

        Their mean is noise over signal.  Where an output has no axis of samples, a batch is one.
        """
        found: list[list[Floats]] = [[] for _ in self._places]
        signal = np.zeros(len(self._places))
        outputs = self._outputs(graph)
        given = self._sized(list(outputs)) if self._free_size else outputs
        for batch, wanted, outs in zip(self._batches, self._wanted, given, strict=True):
            whole = not all(_has_samples(wanted[i], batch) for i in self._places)
            for at, index in enumerate(self._places):
                noise, power = _compared(wanted[index], outs[index], whole=whole)
                found[at].append(noise)
                signal[at] += power
        rows = [
            np.concatenate(noise) / (power or 1.0)
            for noise, power in zip(found, signal, strict=True)
        ]
        return np.mean(rows, axis=0) * len(rows[0]) if rows else np.zeros(0)

    def _sized(self, found: list[list[Array]]) -> list[list[Array]]:
        """The outputs, each by one factor, which makes them nearest."""
        factors = {
            i: _best_factor((w[i], f[i]) for w, f in zip(self._wanted, found, strict=True))
            for i in self._places
        }
        return [[y * factors[i] if i in factors else y for i, y in enumerate(f)] for f in found]

    def _outputs(self, graph: Graph) -> Iterator[list[Array]]:
        runner = open_runner(without_uncalibrated(graph), self._table, shared=False)
        for batch in self._batches:
            yield runner.run(batch)[0]


def gain(before: Floats, after: Floats) -> Gain:
    """By how much noise [N] became smaller, sample by sample.

    The error of a logarithm of a ratio of means is that of the mean of b_i / mean(b) - a_i /
    mean(a).  Source: W. Cochran, Sampling Techniques, 1977, section 6.
    """
    if not (np.isfinite(after).all() and after.size > 1):
        return Gain(-math.inf, math.inf)
    means = float(before.mean()), float(after.mean())
    if not math.isfinite(means[0]) or (means[0] > 0 and not means[1]):
        return Gain(math.inf, 0.0)
    if not means[0]:
        return Gain(-math.inf if means[1] else 0.0, 0.0)
    moved = before / means[0] - after / means[1]
    to_decibels = 10 / math.log(10)
    error = to_decibels * float(moved.std(ddof=1)) / math.sqrt(len(moved))
    return Gain(to_decibels * math.log(means[0] / means[1]), error)


def decibels(noise: Floats) -> float:
    """The signal-to-noise ratio; infinite without noise."""
    mean = float(noise.mean()) if noise.size else 0.0
    return -10 * math.log10(mean) if mean else math.inf


def _has_samples(array: Array, batch: Batch) -> bool:
    return bool(batch) and array.ndim > 0 and batch[0].ndim > 0 and len(array) == len(batch[0])


def _best_factor(pairs: Iterable[tuple[Array, Array]]) -> np.float64:
    """The factor on what was found that leaves the least squared error; 1 where it has no say."""
    products = power = 0.0
    for wanted, found in pairs:
        if wanted.dtype.kind != "f" or wanted.shape != found.shape:
            continue
        w, f = wanted.astype(np.float64).ravel(), found.astype(np.float64).ravel()
        there = np.isfinite(w)
        products += float(w[there] @ f[there])
        power += float(f[there] @ f[there])
    factor = products / power if power > 0 else 1.0
    return np.float64(factor if math.isfinite(factor) else 1.0)


def _compared(wanted: Array, found: Array, *, whole: bool) -> tuple[Floats, float]:
    """The squared differences of each sample, summed, and the squares of what was wanted."""
    count = 1 if whole else len(wanted)
    if wanted.shape != found.shape:  # detections above a threshold may be more or fewer
        return np.zeros(count), 0.0
    if wanted.dtype.kind != "f":
        return (wanted != found).reshape(count, -1).sum(axis=1).astype(np.float64), wanted.size
    w, f = (x.astype(np.float64).reshape(count, -1) for x in (wanted, found))
    finite = np.isfinite(w)
    w, f = np.where(finite, w, 0.0), np.where(finite, f, 0.0)
    noise = np.square(f - w).sum(axis=1)
    return np.where(np.isfinite(noise), noise, np.inf), float(np.square(w).sum())
