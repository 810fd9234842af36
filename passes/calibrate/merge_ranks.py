"""What each of several ranks has measured, as if one had seen everything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array
from sparqc.passes.calibrate.histogram import Histogram
from sparqc.ranks.ranks import Ranks

#: Stands for the exponent of a histogram that saw nothing but zeros.
_NO_EXPONENT = 1 << 32


def merge_histograms(histograms: Sequence[Histogram], batches: int, ranks: Ranks) -> None:
    """Let each histogram hold what the same one of every rank saw, to the bit.

    `batches` is how many this rank was given; SparqcError where the ranks differ in that.
    """
    if ranks.count == 1:
        return
    rows = np.stack([_numbers(h) for h in histograms])
    found = ranks.gather(np.concatenate([[batches, len(rows)], rows.reshape(-1)]))
    _require_alike([tuple(map(int, array[:2])) for array in found])
    others = [array[2:].reshape(rows.shape) for i, array in enumerate(found) if i != ranks.index]
    for other in others:
        for histogram, row in zip(histograms, other, strict=True):
            histogram.merge(_histogram(row))


def _require_alike(given: Sequence[tuple[int, ...]]) -> None:
    for rank, (batches, values) in enumerate(given):
        if (batches, values) != given[0]:
            raise SparqcError(
                f"rank {rank} calibrates on {batches} batches and {values} values, rank 0 on "
                f"{given[0][0]} and {given[0][1]}",
                hint="calibration() has to give the same batches on every rank",
            )


def _numbers(histogram: Histogram) -> Array:
    """A histogram as int64."""
    exponent = _NO_EXPONENT if histogram.exponent is None else histogram.exponent
    maximum = int(np.float64(histogram.maximum).view(np.int64))
    return np.concatenate([[exponent, maximum, histogram.total], histogram.counts])


def _histogram(numbers: Array) -> Histogram:
    made = Histogram()
    exponent, maximum, total = (int(n) for n in numbers[:3])
    made.exponent = None if exponent == _NO_EXPONENT else exponent
    made.maximum = float(np.int64(maximum).view(np.float64))
    made.total = total
    made.counts = numbers[3:].copy()
    return made
