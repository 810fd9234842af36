"""Things that are joined into groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from networkx.utils import UnionFind


def union_find() -> UnionFind:
    """A `networkx.utils.UnionFind` in which nothing is joined yet.

    It is imported here, when there is something to join: to know a pass, nobody waits for networkx.
    """
    from networkx.utils import UnionFind

    return UnionFind()
