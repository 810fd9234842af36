"""Statistics of several ranks become those of one process."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqc.errors import SparqcError
from sparqc.passes.calibrate.histogram import Histogram
from sparqc.passes.calibrate.merge_ranks import merge_histograms
from sparqc.ranks.ranks import ALONE, Ranks, together


@dataclass(frozen=True)
class Told(Ranks):
    """A rank that is told what the other ranks give."""

    others: dict[int, np.ndarray] = field(default_factory=dict)

    def gather(self, array: np.ndarray) -> list[np.ndarray]:
        return [self.others.get(index, array) for index in range(self.count)]


def histogram(*arrays: np.ndarray) -> Histogram:
    made = Histogram()
    for array in arrays:
        made.add(array)
    return made


def state(h: Histogram) -> tuple[object, ...]:
    return h.exponent, h.maximum, h.total, h.counts.tolist()


def sent(histograms: list[Histogram], batches: int) -> np.ndarray:
    """What a rank would send."""
    seen: list[np.ndarray] = []

    class Spy(Ranks):
        def gather(self, array: np.ndarray) -> list[np.ndarray]:
            seen.append(array)
            return [array]

    merge_histograms(histograms, batches, Spy(0, 2))
    return seen[0]


FLOATS = st.floats(-(2.0**99), 2.0**99, width=32)
ARRAYS = st.lists(
    st.lists(FLOATS, max_size=5).map(lambda x: np.array(x, np.float32)),
    max_size=4,
)


@given(ARRAYS, ARRAYS)
def test_merged_histograms_are_those_of_all_the_data(mine: list, theirs: list) -> None:
    other = sent([histogram(*theirs)], 2)
    merged = histogram(*mine)
    merge_histograms([merged], 2, Told(0, 2, {1: other}))
    assert state(merged) == state(histogram(*mine, *theirs))


def test_everything_that_a_histogram_holds_is_exchanged() -> None:
    assert set(Histogram.__slots__) == {"counts", "exponent", "maximum", "total"}


def test_ranks_with_other_numbers_of_batches_are_named() -> None:
    other = sent([histogram(np.ones(3))], 7)
    with pytest.raises(SparqcError, match="rank 1 calibrates on 7 batches and 1 values, rank 0 on"):
        merge_histograms([histogram(np.ones(3))], 2, Told(0, 2, {1: other}))


def test_alone_nothing_is_exchanged() -> None:
    one = histogram(np.ones(3))
    merge_histograms([one], 1, ALONE)
    assert one.total == 3


def test_what_fails_on_one_rank_fails_on_all() -> None:
    text = np.frombuffer(b"batch 3 is NaN", np.uint8)
    with (
        pytest.raises(SparqcError, match="rank 1 failed: batch 3 is NaN"),
        together(Told(0, 2, {1: text})),
    ):
        pass


@given(st.integers(1, 20), st.integers(1, 6))
def test_the_parts_of_a_batch_are_the_whole(size: int, count: int) -> None:
    parts = [Ranks(index, count).part(size) for index in range(count)]
    if size < count:
        assert parts == [None] * count
        return
    rows = [row for part in parts for row in range(size)[part]]
    assert rows == list(range(size))
    lengths = [len(range(size)[part]) for part in parts]
    assert max(lengths) - min(lengths) <= 1


@given(st.integers(0, 50), st.integers(1, 6))
def test_each_work_is_taken_once(number: int, count: int) -> None:
    assert sum(Ranks(index, count).takes(number) for index in range(count)) == 1
