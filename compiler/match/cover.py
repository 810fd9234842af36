"""Covering a graph with fusions: which operators a target runs as one kernel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast, overload

from sparqc.ir.graph import Graph, Node
from sparqc.lang.ast import FusionDecl
from sparqc.match.match import Index, Match, Matcher, Miss

#: How many operators behind a node `why_not_covered` takes into account as roots.
_REACH = 4


class Cover(Sequence[Match]):
    """The chosen matches, from the outputs to the inputs; no operator is in two of them."""

    def __init__(self, matcher: Matcher, fusions: Sequence[FusionDecl]) -> None:
        self._matcher = matcher
        self._index = Index(matcher, fusions)
        self._matches: list[Match] = []
        self._owners: dict[Node, Match] = {}

    def of(self, node: Node) -> Match | None:
        """The fusion that a node belongs to."""
        return self._owners.get(node)

    def why_not_covered(self, node: Node) -> Miss | None:
        """The best reason why no fusion took a node; None where one did, or none asks for it.

        Fusions with the node at their root and fusions that would reach it from a reader are
        considered; the attempt that came farthest gives the reason.
        """
        if node in self._owners:
            return None
        misses = [miss for root in _roots_near(node) for miss in self._misses(root, node)]
        return max(misses, key=_nearness, default=None)

    def _misses(self, root: Node, node: Node) -> Iterator[Miss]:
        for fusion in self._index.at(root):
            taken = next((m for m in self._matcher.holding(fusion, root) if node in m.nodes), None)
            miss = self._matcher.explain(fusion, root) if taken is None else self._blocked(taken)
            if miss is not None and (root is node or (miss.match and node in miss.match.nodes)):
                yield miss

    def _blocked(self, match: Match) -> Miss | None:
        """A fusion that fits, but whose operators belong to others."""
        node = next((n for n in match.nodes if n in self._owners), None)
        if node is None:
            return None
        owner = self._owners[node].decl.name
        reason = f"{node.output.name} already belongs to the fusion {owner}"
        return Miss(match.decl, match.root, reason, len(match.nodes), match.decl.span, None, match)

    def take(self, node: Node) -> None:
        """Add the longest fusion rooted at a node whose operators are all free."""
        if node in self._owners:
            return
        for match in by_precedence(self._index.at(node), node, self._matcher):
            taken = any(n in self._owners for n in match.nodes)
            if taken or not self._matcher.holds(match):
                continue
            self._matches.append(match)
            self._owners.update(dict.fromkeys(match.nodes, match))
            return

    @overload
    def __getitem__(self, index: int) -> Match: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Match]: ...
    def __getitem__(self, index: int | slice) -> Match | Sequence[Match]:
        return self._matches[index]

    def __len__(self) -> int:
        return len(self._matches)


def cover(graph: Graph, matcher: Matcher, fusions: Iterable[FusionDecl]) -> Cover:
    """Cover a graph with fusions whose `where` holds, from the outputs to the inputs.

    At each root the longest match wins (see `by_precedence`).  A match
    that would take an operator of another fusion is passed over for the next one.  Values between
    fusions are shared.  The result depends neither on the order of the nodes nor on that of the
    fusions.
    """
    matcher.refresh()
    found = Cover(matcher, tuple(fusions))
    for node in matcher.order(graph).outputs_first():
        found.take(node)
    return found


def by_precedence(fusions: Iterable[FusionDecl], root: Node, matcher: Matcher) -> Iterator[Match]:
    """The matches of fusions at one root, whose `where` is not asked yet: the longest first, of
    these one that replaces others, then by name, then in the matcher's order.

    A fusion is searched for when all longer matches have been taken: often one of them will do.
    """
    waiting: list[Match] = []
    for most, fusion in sorted(
        ((matcher.most(fusion, root), fusion) for fusion in fusions), key=lambda p: -p[0]
    ):
        while waiting and len(waiting[0].nodes) > most:
            yield waiting.pop(0)
        waiting = sorted([*waiting, *matcher.matches(fusion, root)], key=_precedence)
    yield from waiting


def _precedence(match: Match) -> tuple[int, int, str]:
    replaced = cast(FusionDecl, match.decl).replaces
    return -len(match.nodes), -len(replaced), match.decl.name


def _roots_near(node: Node) -> list[Node]:
    """The node, and the operators behind it that could be the root of a match with it inside."""
    found, frontier = {node: None}, [node]
    for _ in range(_REACH):
        frontier = [
            r for n in frontier for v in n.outputs for r in v.readers[:_REACH] if r not in found
        ]
        found.update(dict.fromkeys(frontier))
    return list(found)


def _nearness(miss: Miss) -> tuple[bool, int, str]:
    return miss.match is not None, miss.progress, miss.decl.name
