"""Every second sample is chosen on, the others say what the choice is worth.

A metric of evaluate() is a figure for all samples at once.  What a network loses on some of them is
seen where the others get the outputs of the float network: of a mean over samples, such as top-1,
that is exact, of other figures nearly so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparqc.ir.graph import Array
from sparqc.rewrite.context import Batch

#: Samples are dealt out one by one to so many folds, those of even number for the choice.
FOLDS = 16
#: The 97.5 % point of Student's t with FOLDS / 2 - 1 = 7 degrees of freedom.
STUDENT_T = 2.365


@dataclass(frozen=True)
class Part:
    """Some of the folds."""

    folds: tuple[int, ...]

    def picks(self, first: int, count: int) -> npt.NDArray[np.bool_]:
        """Which of `count` samples belong to it, the first of which has the number `first`."""
        return np.isin((first + np.arange(count)) % FOLDS, self.folds)


ALL = Part(tuple(range(FOLDS)))
CHOICE = Part(tuple(range(0, FOLDS, 2)))
HELD_OUT = Part(tuple(range(1, FOLDS, 2)))


@dataclass(frozen=True)
class Estimate:
    """A loss, in points or as noise over signal, and how far the true one may be off with 95 %."""

    loss: float
    error: float

    @classmethod
    def of(cls, lost: Sequence[float], weights: Sequence[float]) -> Estimate:
        """From what is lost in each fold, and the weight that the fold has: the estimate of a ratio
        from clusters (Cochran, Sampling Techniques, 1977, formula 6.13)."""
        count, whole = len(lost), math.fsum(weights)
        ratio = math.fsum(lost) / whole
        rest = math.fsum((a - ratio * w) ** 2 for a, w in zip(lost, weights, strict=True))
        return cls(ratio, STUDENT_T * math.sqrt(rest * count / (count - 1)) / whole)


def samples_of(batch: Batch, outputs: Sequence[Array]) -> int:
    """How many samples a batch holds: 1 where its outputs are not one row a sample."""
    sizes = {array.shape[0] if array.ndim else 0 for array in (*batch, *outputs)}
    return sizes.pop() if len(sizes) == 1 and 0 not in sizes else 1


def mixed(
    expected: Sequence[Array], actual: Sequence[Array], picked: npt.NDArray[np.bool_]
) -> list[Array]:
    """The outputs of a network for the samples that are picked, those expected for the others."""
    if len(picked) == 1:  # the whole batch, whatever the shapes of its outputs
        return list(actual if picked[0] else expected)
    found = []
    for float_rows, rows in zip(expected, actual, strict=True):
        array = np.array(float_rows)
        array[picked] = rows[picked]
        found.append(array)
    return found


def rows(arrays: Iterable[Array], picked: npt.NDArray[np.bool_]) -> list[Array]:
    """The picked rows of outputs; of one sample in all everything or nothing."""
    if len(picked) == 1:
        return list(arrays) if picked[0] else []
    return [array[picked] for array in arrays]
