"""Sets that are joined step by step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sparqc.passes.union_find import UnionFind

items = st.integers(0, 7)


def test_who_was_joined_has_one_representative() -> None:
    groups: UnionFind[str] = UnionFind()
    groups.union("a", "b")
    groups.union("c", "d", "e")
    assert groups["a"] == groups["b"] != groups["c"]
    assert groups["c"] == groups["d"] == groups["e"]
    assert groups["alone"] == "alone"


@given(st.lists(st.tuples(items, items)))
def test_the_sets_are_the_connected_parts(pairs: list[tuple[int, int]]) -> None:
    groups: UnionFind[int] = UnionFind()
    parts = {item: {item} for item in range(8)}
    for a, b in pairs:
        groups.union(a, b)
        joined = parts[a] | parts[b]
        parts |= dict.fromkeys(joined, joined)
    for a in range(8):
        for b in range(8):
            assert (groups[a] == groups[b]) == (b in parts[a])
