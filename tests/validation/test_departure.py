"""When two results of an operator are the same but for rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqc.validation.departure import CLOSE, SHAKEN, gap, largest_difference, shake

VALUES = np.linspace(-1, 1, 2001, dtype=np.float32)


def test_equal_results_agree_nan_and_infinity_too():
    odd = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    assert gap(odd, odd.copy()) == 0.0
    assert gap(odd, np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)) == np.inf


@pytest.mark.parametrize("other", [VALUES[:-1], VALUES.reshape(3, -1), np.float32(0)])
def test_another_shape_departs_without_bound(other):
    assert gap(VALUES, np.asarray(other)) == np.inf


@given(st.floats(1e-2, 1e6), st.floats(0, 10))
def test_the_gap_is_relative_to_the_largest_magnitude(scale, off):
    expected = VALUES * np.float32(scale)
    actual = expected + np.float32(off * CLOSE * scale)
    found = gap(expected, actual)
    assert (found == 0.0) if off < 0.9 else off < 1.1 or found == pytest.approx(off * CLOSE, 0.1)


def test_what_float32_cannot_tell_at_1_is_no_difference():
    tiny = VALUES * np.float32(1e-5)
    assert gap(tiny, tiny + np.float32(1e-9)) == 0.0  # 1e-4 of the largest magnitude
    assert gap(VALUES, VALUES + np.float32(1e-3)) > 0


def test_rounding_of_zeros_is_no_difference():
    """The variance of equal numbers, say, where another library rounds their mean."""
    zeros = np.zeros(8, np.float32)
    assert gap(zeros, zeros + np.float32(4e-15)) == 0.0
    assert gap(zeros, zeros + np.float32(1e-5)) == np.inf
    assert gap(zeros, np.full(8, np.nan, np.float32)) == np.inf
    assert gap(zeros.astype(np.int64), np.eye(8, dtype=np.int64)[0]) == np.inf


def test_half_precision_may_be_off_by_more():
    assert gap(VALUES, VALUES * np.float32(1.01)) > 0
    assert gap(VALUES, VALUES * np.float32(1.01), half=True) == 0.0


CODES = np.arange(-127, 128, dtype=np.int8).repeat(20)


@pytest.mark.parametrize(
    ("moved", "by", "agrees"), [(1, 1, True), (5, 1, True), (600, 1, False), (1, 2, False)]
)
def test_a_few_codes_may_be_the_next_one(moved, by, agrees):
    other = CODES.copy()
    other[100 : 100 + moved] += np.int8(by)
    assert (gap(CODES, other, rounds=True) == 0.0) == agrees
    assert gap(CODES, other) > 0  # of an operator that does not round


def test_a_scale_in_half_precision_moves_many_codes_by_one():
    other = np.clip(CODES.astype(np.int16) + 1, -128, 127).astype(np.int8)
    assert gap(CODES, other, rounds=True, half=True) == 0.0


def test_shaken_numbers_are_off_by_some_steps_of_their_type():
    for dtype in (np.float32, np.float16):
        numbers = VALUES.astype(dtype)
        off = np.abs(shake(numbers, 0).astype(np.float64) - numbers)
        assert off.max() <= 1.1 * SHAKEN * np.finfo(dtype).eps
        assert np.count_nonzero(off) > 0.9 * off.size
    assert np.array_equal(shake(VALUES, 1), shake(VALUES, 1))
    assert not np.array_equal(shake(VALUES, 1), shake(VALUES, 2))
    codes = np.arange(9)
    assert shake(codes, 0) is codes


def test_the_largest_difference_has_no_bound_where_a_number_is_missing():
    odd = np.array([np.inf, 1.0], np.float32)
    assert largest_difference(odd, np.array([np.inf, 1.5], np.float32)) == 0.5
    assert largest_difference(odd, np.array([1.0, 1.0], np.float32)) == np.inf
    assert largest_difference(odd, odd[:1]) == np.inf
