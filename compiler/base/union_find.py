"""Sets that grow together: which things must be treated alike."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class UnionFind(Generic[T]):
    """Disjoint sets of whatever was asked for, each named by one of its members."""

    def __init__(self) -> None:
        self._parents: dict[T, T] = {}
        self._sizes: dict[T, int] = {}

    def __getitem__(self, item: T) -> T:
        """The member that stands for the set of an item; of a new one it is the item itself."""
        root = self._parents.setdefault(item, item)
        while (above := self._parents[root]) != root:
            root = above
        while item != root:
            above, self._parents[item] = self._parents[item], root
            item = above
        return root

    def __iter__(self) -> Iterator[T]:
        """Every item that was asked for, in the order in which they came."""
        return iter(self._parents)

    def union(self, *items: T) -> None:
        """Make one set of those of the items.  The largest gives the name, of equals the first."""
        roots = list(dict.fromkeys(self[item] for item in items))
        if not roots:
            return
        sizes = [self._sizes.pop(root, 1) for root in roots]
        name = roots[sizes.index(max(sizes))]
        self._sizes[name] = sum(sizes)
        self._parents.update(dict.fromkeys(roots, name))
