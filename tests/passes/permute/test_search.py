"""The search for the order of columns."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqc.passes.permute.search import best_order, kept


def magnitudes(seed: int, rows: int, columns: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    sizes = np.exp(random.standard_normal(columns))
    return np.abs(random.standard_normal((rows, columns)) * sizes).astype(np.float32)


def test_kept_is_the_two_largest_of_each_four() -> None:
    rows = np.array([[4, 1, 3, 2, 0, 0, 5, 0], [1, 1, 1, 1, 2, 2, 2, 2]], np.float32)
    assert kept(rows) == 4 + 3 + 5 + 1 + 1 + 2 + 2


def test_large_columns_are_spread_over_the_groups() -> None:
    """Four columns of ones and four of zeros: all the ones can stay."""
    rows = np.repeat(np.array([[1, 1, 1, 1, 0, 0, 0, 0]], np.float32), 3, axis=0)
    order = best_order(rows)
    assert kept(rows) == 6
    assert kept(rows[:, order]) == 12


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 12))
def test_two_groups_are_searched_completely(seed: int, rows: int) -> None:
    """With 8 columns there are 35 ways to make two groups of four."""
    data = magnitudes(seed, rows, 8)
    ways = [(0, *three) for three in combinations(range(1, 8), 3)]
    best = max(kept(data[:, [*one, *set(range(8)).difference(one)]]) for one in ways)
    assert kept(data[:, best_order(data)]) >= 0.995 * best


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 20), st.integers(0, 41))
def test_the_result_is_a_permutation_that_keeps_no_less(seed: int, rows: int, columns: int) -> None:
    data = magnitudes(seed, rows, columns)
    order = best_order(data)
    assert sorted(order) == list(range(columns))
    assert list(order[columns - columns % 4 :]) == list(range(columns - columns % 4, columns))
    assert kept(data[:, order]) >= kept(data)
    np.testing.assert_array_equal(best_order(data), order)


def test_nothing_is_done_where_nothing_can_be_gained() -> None:
    rows = np.ones((5, 16), np.float32)
    np.testing.assert_array_equal(best_order(rows), np.arange(16))


@pytest.mark.parametrize("columns", [64, 160])
def test_the_search_keeps_much_more_than_chance(columns: int) -> None:
    """More columns than a window holds are searched in several."""
    data = magnitudes(0, 128, columns)
    random = np.random.default_rng(0)
    chance = max(kept(data[:, random.permutation(columns)]) for _ in range(200))
    assert kept(data[:, best_order(data)]) > 1.01 * chance
