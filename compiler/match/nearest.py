"""Where a declaration nearly matches in a whole graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sparqc.ir.graph import Graph, Node
from sparqc.lang.ast import Declaration
from sparqc.match.match import Matcher
from sparqc.match.result import Match, Miss


@dataclass(frozen=True)
class Places:
    """Where a declaration matches in a graph, and where not, the nearest miss first."""

    matches: tuple[Match, ...]
    misses: tuple[Miss, ...]


def places(decl: Declaration, graph: Graph, matcher: Matcher) -> Places:
    """All operators at which a declaration could match, asked one by one.

    A miss is nearer where the match block fits and a condition stands in the way, the later the
    nearer; else by how many steps of the pattern were behind it.
    """
    matches, misses = [], []
    for node in candidates(decl, graph, matcher):
        match = matcher.first(decl, node)
        if match is not None:
            matches.append(match)
        elif (miss := matcher.explain(decl, node)) is not None:
            misses.append(miss)
    return Places(tuple(matches), tuple(sorted(misses, key=_nearness, reverse=True)))


def candidates(decl: Declaration, graph: Graph, matcher: Matcher) -> Iterator[Node]:
    """The operators of a graph at which a declaration may have its root; none at a level that it
    is not for."""
    if graph.level in decl.levels:
        roots = matcher.roots(decl)
        yield from (node for node in graph.nodes if node.op in roots)


def _nearness(miss: Miss) -> tuple[int, int]:
    if miss.match is not None and miss.condition is not None:
        return 1, miss.decl.where.index(miss.condition)
    return 0, miss.progress
