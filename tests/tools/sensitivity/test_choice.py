"""Which layers are spared: the path from fast to exact, and where a budget stops on it."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqc.errors import UsageError
from sparqc.tools.sensitivity.choice import (
    Budget,
    Choice,
    Way,
    first_within,
    parse_budget,
    path,
    search,
    staircase,
    undominated,
)

KEEPS = ("sparse-int8", "int8", "float")
LOSSES = st.floats(-0.5, 5)
SECONDS = st.floats(-1, 5)


@st.composite
def layer(draw: st.DrawFn) -> list[Way]:
    """Planned, dense and float; the float network loses nothing."""
    noises = sorted((draw(st.floats(1e-6, 1)) for _ in range(2)), reverse=True)
    times = [0.0, draw(SECONDS), draw(SECONDS)]
    losses = [draw(LOSSES), draw(LOSSES), 0.0]
    rows = zip(KEEPS, losses, [*noises, 0.0], times, strict=True)
    return [Way(keep, loss, noise, seconds) for keep, loss, noise, seconds in rows]  # type: ignore[arg-type]


networks = st.lists(layer(), min_size=1, max_size=8).map(
    lambda some: {f"l{i}": ways for i, ways in enumerate(some)}
)


def test_the_layer_that_wins_back_most_for_its_time_is_spared_first() -> None:
    ways = {
        "cheap": [Way("sparse-int8", 2.0, 0.2, 0), Way("int8", 0.1, 0.01, 1)],
        "dear": [Way("sparse-int8", 2.0, 0.2, 0), Way("int8", 0.1, 0.01, 10)],
        "deaf": [Way("sparse-int8", 0.0, 0.1, 0), Way("int8", 0.0, 0.01, 1)],
    }
    found = path(ways)
    spared = [[n for n, k in choice.keeps.items() if k == "int8"] for choice in found]
    assert spared == [[], ["cheap"], ["cheap", "dear"], ["cheap", "dear", "deaf"]]
    assert [c.seconds for c in found] == [0, 1, 11, 12]
    assert first_within(found, 2.5) == 1 and first_within(found, 4) == 0
    assert first_within(found, -1) == 3


def test_a_way_that_is_slower_and_no_better_is_none() -> None:
    fast = Way("sparse-int8", 1.0, 0.1, 0)
    useless, good = Way("int8", 1.0, 0.1, 1), Way("float", 0.0, 0.0, 2)
    assert undominated([fast, useless, good]) == [fast, good]
    faster = Way("float", 0.0, 0.0, -1)
    assert undominated([fast, useless, faster]) == [faster]


@given(networks)
def test_a_path_leads_from_the_fastest_network_to_the_float_one(
    ways: dict[str, list[Way]],
) -> None:
    found = path(ways)
    assert found[0].seconds == pytest.approx(
        sum(min(w.seconds for w in some) for some in ways.values())
    )
    assert set(found[-1].keeps.values()) == {"float"}
    for one, next_one in pairwise(found):
        assert next_one.seconds >= one.seconds - 1e-9
        changed = [n for n in ways if one.keeps[n] != next_one.keeps[n]]
        assert len(changed) == 1


@given(networks, st.floats(0, 20), st.floats(0, 20))
def test_a_larger_budget_is_never_predicted_to_be_slower(
    ways: dict[str, list[Way]], first: float, second: float
) -> None:
    found = path(ways)
    small, large = sorted((first, second))
    assert (
        found[first_within(found, large)].seconds
        <= found[first_within(found, small)].seconds + 1e-9
    )


@given(networks, st.lists(st.floats(0, 10), min_size=40, max_size=40))
def test_a_staircase_rises(ways: dict[str, list[Way]], seconds: list[float]) -> None:
    choices = [
        Choice(c.keeps, c.loss, c.noise, s) for c, s in zip(path(ways), seconds, strict=False)
    ]
    kept = staircase(choices)
    assert kept[-1] is choices[-1]
    assert all(a.seconds < b.seconds for a, b in pairwise(kept))
    assert min(c.seconds for c in choices) == kept[0].seconds


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.floats(0, 10), st.data())
def test_the_search_finds_the_first_choice_within_the_limit(
    losses: list[float], limit: float, data: st.DataObject
) -> None:
    falling = sorted(losses, reverse=True)
    start = data.draw(st.integers(0, len(losses) - 1))
    asked: list[int] = []

    def loss(index: int) -> float:
        asked.append(index)
        return falling[index]

    found = search(len(falling), start, limit, loss)
    first = next((i for i, x in enumerate(falling) if x <= limit), None)
    assert found.reached == (first is not None)
    if first is None:
        assert falling[found.index] == min(falling)
    else:
        assert found.index == first
    assert len(asked) == len(set(asked)) <= 2 * math.log2(len(losses) + 1) + 3


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("0.5", Budget(0.5, "points")),
        ("1.5dB", Budget(1.5, "dB")),
        (" 2 db ", Budget(2, "dB")),
        ("0", Budget(0, "points")),
        ("1e-3", Budget(0.001, "points")),
    ],
)
def test_a_budget_is_points_or_db(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "much", "1.5 points", "nan", "1..5", "inf", "dB", "1e999"])
def test_nonsense_is_no_budget(text: str) -> None:
    with pytest.raises(UsageError, match="this is no amount"):
        parse_budget(text)


def test_a_budget_is_not_negative() -> None:
    with pytest.raises(UsageError, match="not negative"):
        parse_budget("-0.5")
