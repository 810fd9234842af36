"""Histograms do not depend on how the data was batched."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sparqc.passes.calibrate.histogram import BINS, Histogram


def histogram(*arrays: np.ndarray) -> Histogram:
    result = Histogram()
    for array in arrays:
        result.add(array)
    return result


def assert_same(a: Histogram, b: Histogram) -> None:
    assert (a.exponent, a.maximum, a.total) == (b.exponent, b.maximum, b.total)
    assert (a.counts == b.counts).all()


finite = st.floats(-1e6, 1e6, width=32)
tiny_to_large = st.builds(lambda m, e: np.float32(m * 2.0**e), finite, st.integers(-60, 40))
data = hnp.arrays(np.float32, st.integers(1, 60), elements=st.one_of(finite, tiny_to_large))


@settings(max_examples=80, deadline=None)
@given(data, st.lists(st.integers(0, 60), max_size=5), st.randoms())
def test_counts_do_not_depend_on_the_batches(x: np.ndarray, cuts: list[int], random) -> None:
    parts = np.split(x, sorted(min(cut, x.size) for cut in cuts))
    random.shuffle(parts)
    assert_same(histogram(*parts), histogram(x))


@settings(max_examples=50, deadline=None)
@given(data, data, data)
def test_merging_is_as_good_as_adding(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
    merged, more = histogram(x), histogram(y, z)
    merged.merge(more)
    assert_same(merged, histogram(x, y, z))
    assert_same(more, histogram(y, z))


@settings(max_examples=50, deadline=None)
@given(data)
def test_every_element_lies_in_its_bin(x: np.ndarray) -> None:
    found = histogram(x)
    expected = np.zeros(BINS, int)
    for value in np.abs(x.astype(np.float64)):
        expected[math.floor(value / found.width) if found.width else 0] += 1
    assert (found.counts == expected).all()
    assert found.total == x.size
    assert found.counts[found.occupied :].sum() == 0


def test_more_than_half_of_the_bins_are_in_use() -> None:
    for maximum in (1.0, 1.0001, 1.9999, 3e-20, 7e30):
        assert BINS / 2 < histogram(np.array([maximum], np.float32)).occupied <= BINS


def test_zeros_alone() -> None:
    found = histogram(np.zeros(3, np.float32), np.float32([0.0, -0.0]))
    assert (found.maximum, found.total, found.counts[0]) == (0.0, 5, 5)
    assert (found.width, found.occupied, found.share_above(0.0)) == (0.0, 1, 0.0)


def test_what_is_below_the_least_range_is_counted() -> None:
    found = histogram(np.array([1e-40, 0, -1e-38], np.float32))
    assert found.counts.tolist() == [3, *[0] * (BINS - 1)]


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_dtypes_count_alike(dtype: type) -> None:
    x = np.random.default_rng(0).standard_normal((3, 50, 50)).astype(np.float16)
    assert_same(histogram(x.astype(dtype)), histogram(x.astype(np.float32)))


def test_blocks_and_strides_change_nothing() -> None:
    x = np.random.default_rng(0).standard_normal((300, 500)).astype(np.float32)
    assert_same(histogram(x.T[::-1]), histogram(x))


def test_the_share_above_a_range() -> None:
    found = histogram(np.arange(1, 101, dtype=np.float32) - 0.5)
    assert found.share_above(90.0) == 0.1
    assert found.share_above(99.5) == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_and_leaves_no_trace(bad: float) -> None:
    found = histogram(np.ones(4, np.float32))
    with pytest.raises(ValueError, match="not finite"):
        found.add(np.array([1, bad, 2], np.float32))
    assert_same(found, histogram(np.ones(4, np.float32)))
