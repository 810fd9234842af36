"""2:4 masks: which values stay, and how many groups break the pattern."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sparqc.errors import SparqcError
from sparqc.numerics.two_four import is_two_four, two_four_mask, two_four_violations


def kept(*values: float) -> list[int]:
    return [int(k) for k in two_four_mask(np.array(values, np.float32), 0)]


def reference(w: np.ndarray, axis: int) -> np.ndarray:
    """One group after the other, by a stable sort."""
    mask = np.zeros(w.shape, bool)
    for index in np.ndindex(*np.delete(w.shape, axis)):
        where = list(index)
        where.insert(axis, slice(None))
        row, stays = w[tuple(where)], mask[tuple(where)]
        for start in range(0, len(row), 4):
            four = np.abs(row[start : start + 4])
            for winner in np.argsort(-four, kind="stable")[:2]:
                stays[start + winner] = four[winner] != 0
    return mask


# Few different values, so that ties and zeros are frequent.
weights = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.sampled_from([4, 8]), st.integers(1, 3), st.integers(1, 2)),
    elements=st.sampled_from([-2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0]),
)


def test_the_two_largest_magnitudes_stay() -> None:
    assert kept(1, -4, 3, 2) == [0, 1, 1, 0]
    assert kept(9, 1, 2, 8, -1, 2, -3, 0) == [1, 0, 0, 1, 0, 1, 1, 0]


def test_of_equal_magnitudes_the_earlier_stays() -> None:
    assert kept(1, 1, 1, 1) == [1, 1, 0, 0]
    assert kept(1, -2, 2, 2) == [0, 1, 1, 0]
    assert kept(1, 3, -1, 1) == [1, 1, 0, 0]


def test_what_is_two_four_already_keeps_its_zeros_and_its_values() -> None:
    assert kept(0, 5, 0, 1) == [0, 1, 0, 1]
    assert kept(0, 0, 0, 1) == [0, 0, 0, 1]
    assert kept(0, 0, -0.0, 0) == [0, 0, 0, 0]


@settings(max_examples=100, deadline=None)
@given(weights)
def test_the_mask_is_that_of_a_stable_sort(w: np.ndarray) -> None:
    mask = two_four_mask(w, 1)
    assert (mask == reference(w, 1)).all()
    assert is_two_four(w * mask, 1)
    assert (two_four_mask(w * mask, 1) == mask).all()


def test_groups_lie_along_the_axis() -> None:
    w = np.random.default_rng(0).standard_normal((8, 4, 12)).astype(np.float32)
    for axis in (0, 1, 2, -1, -2):
        assert (two_four_mask(w, axis) == reference(w, axis % 3)).all()


def test_a_weight_larger_than_a_block_and_not_contiguous() -> None:
    w = np.random.default_rng(0).standard_normal((2048, 300)).astype(np.float32).T
    mask = two_four_mask(w, 1)
    assert mask.sum() == w.size / 2
    assert is_two_four(w * mask, 1)
    assert not is_two_four(w * mask, 0)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8])
def test_any_dtype(dtype: type) -> None:
    assert [int(k) for k in two_four_mask(np.array([-128, 1, 2, 127], dtype), 0)] == [1, 0, 0, 1]


def test_violations_are_counted_in_groups() -> None:
    w = np.array([[1, 1, 1, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 0, 0]], np.int8)
    assert two_four_violations(w, 1) == 2
    assert not is_two_four(w, 1)
    assert is_two_four(w[1:], 1)


def test_a_length_that_is_no_multiple_of_four() -> None:
    w = np.ones((2, 6), np.float32)
    with pytest.raises(SparqcError, match="needs a multiple of four"):
        two_four_mask(w, 1)
    assert two_four_violations(w, 1) == 2  # the last two of six make no group of three
    assert two_four_violations(np.ones((1, 7)), 1) == 2
    assert not is_two_four(np.zeros((2, 6)), 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(SparqcError, match="the weight to prune has"):
        two_four_mask(np.array([1, 2, bad, 3], np.float32), 0)
