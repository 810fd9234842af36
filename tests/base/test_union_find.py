"""Sets that grow together."""

from hypothesis import given
from hypothesis import strategies as st

from sparqc.base.union_find import UnionFind


def test_who_was_never_joined_stands_for_itself() -> None:
    sets = UnionFind[str]()
    assert sets["a"] == "a"
    assert list(sets) == ["a"]
    sets.union()
    assert list(sets) == ["a"]


def test_the_largest_set_gives_the_name_and_of_equals_the_first() -> None:
    sets = UnionFind[str]()
    sets.union("a", "b")
    assert sets["b"] == "a"
    sets.union("c", "d", "e")
    sets.union("a", "c")
    assert {sets[name] for name in "abcde"} == {"c"}


@given(st.lists(st.lists(st.integers(0, 9), max_size=3), max_size=8))
def test_two_are_in_one_set_where_a_chain_of_unions_joins_them(unions: list[list[int]]) -> None:
    sets = UnionFind[int]()
    naive = [{n} for n in range(10)]
    for items in unions:
        sets.union(*items)
        touched = [s for s in naive if s & set(items)]
        if touched:
            naive = [s for s in naive if s not in touched] + [set().union(*touched)]
    for first in range(10):
        for second in range(10):
            assert (sets[first] == sets[second]) == any({first, second} <= s for s in naive)
