"""Sets of things that belong together, joined step by step."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class UnionFind(Generic[T]):
    """Disjoint sets; `groups[item]` is the same item for every item of one set.

    An item that was never joined is a set of its own.  Source: Tarjan and van Leeuwen, Worst-case
    Analysis of Set Union Algorithms, 1984 (path halving).
    """

    def __init__(self) -> None:
        self._parents: dict[T, T] = {}

    def __getitem__(self, item: T) -> T:
        """The item that stands for the set."""
        parents = self._parents
        while (parent := parents.setdefault(item, item)) != item:
            parents[item] = item = parents.setdefault(parent, parent)
        return item

    def union(self, *items: T) -> None:
        """Join the sets of all these items."""
        for item in items[1:]:
            self._parents[self[item]] = self[items[0]]
