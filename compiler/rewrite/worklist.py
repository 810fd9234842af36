"""Rewriting a graph until no rule matches any more."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import count

from sparqc.ir.graph import Graph, Node, Value
from sparqc.lang.ast import RuleDecl
from sparqc.match.match import Index, Match, Matcher
from sparqc.rewrite.apply import Change, apply, is_alive
from sparqc.rewrite.context import Context
from sparqc.rewrite.limit import ApplicationLimit

#: How many readers of a value that has lost one are looked at again, and how many nodes in all
#: after one application.  What is left out here, the next round over the graph finds.
_FEW_READERS, _MOST_AGAIN = 8, 64

#: Where a node stands in the order of visits; new nodes stand where their root did.
_Rank = tuple[int, int]


def rewrite(
    graph: Graph, rules: Iterable[RuleDecl], context: Context, *, limit: int | None = None
) -> int:
    """Apply rules until none matches; returns the number of applications.

    Nodes are visited from the outputs to the inputs.  At one root the match with the most operators
    is applied, then the rule whose name comes first.  After an application only what is near it is
    visited again, so that the work grows with the graph and the applications; a last round that
    finds nothing makes sure that nothing was overlooked.

    Raises SparqcError where `limit` (by default 50 applications a node) is passed, or the rules
    turn in a circle; it names them.
    """
    return _Rewriting(graph, rules, context, limit).run()


class _Rewriting:
    """One run to a fixed point."""

    def __init__(
        self, graph: Graph, rules: Iterable[RuleDecl], context: Context, limit: int | None
    ) -> None:
        self.graph, self.context, self.action = graph, context, context.action
        self.matcher = Matcher(context.rules, context.table, context.target.name)
        wanted = [rule for rule in rules if self.action.allows(rule)]
        self.index = Index(self.matcher, wanted)
        self.reach = max((self.matcher.depth(rule) for rule in wanted), default=0)
        self.limit = ApplicationLimit(graph, context.table, limit)
        self.ranks: dict[Node, _Rank] = {}
        self.heap: list[tuple[_Rank, Node]] = []
        self.waiting: set[Node] = set()
        self.serials = count(1)

    def run(self) -> int:
        """Round after round over the whole graph, until one applies nothing."""
        applied = -1
        while self.limit.used != applied and not self.action.exhausted:
            applied = self.limit.used
            self.matcher.refresh()
            order = self.matcher.order(self.graph).outputs_first()
            self.ranks = {node: (position, 0) for position, node in enumerate(order)}
            self.push(order)
            while self.heap and not self.action.exhausted:
                self.visit(self.pop())
            self.clear()
        return self.limit.used

    # -- the nodes that wait ---------------------------------------------------------------------

    def push(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            if node not in self.waiting and self.index.at(node):
                self.waiting.add(node)
                heapq.heappush(self.heap, (self.ranks[node], node))

    def pop(self) -> Node:
        _, node = heapq.heappop(self.heap)
        self.waiting.discard(node)
        return node

    def clear(self) -> None:
        self.heap.clear()
        self.waiting.clear()

    # -- one visit -------------------------------------------------------------------------------

    def visit(self, node: Node) -> None:
        if not is_alive(self.graph, node.output):
            return
        for match in self.candidates(node):
            rank = self.ranks[node]
            change = self.apply(match)
            if change is not None:
                self.again(change, rank)
                return

    def candidates(self, node: Node) -> Iterator[Match]:
        """The first match of each rule at a node, most operators first, then by name."""
        found = [self.matcher.first(rule, node) for rule in self.index.at(node)]
        matches = [match for match in found if match is not None]
        matches.sort(key=lambda m: (-len(m.nodes), m.decl.name))
        return iter(matches)

    def apply(self, match: Match) -> Change | None:
        rule = match.decl
        assert isinstance(rule, RuleDecl)
        size = len(self.graph)
        change = self.action.rule(
            rule, match, self.context, lambda: apply(rule, match, self.matcher)
        )
        if change is not None:
            self.limit.count(rule, match, change.created, len(self.graph) - size)
        return change

    # -- what to look at again -------------------------------------------------------------------

    def again(self, change: Change, rank: _Rank) -> None:
        for node in change.created:  # each in front of those it reads
            self.ranks[node] = (rank[0], -next(self.serials))
        self.push(change.created)
        self.push(v.producer for v in change.touched if v.producer is not None)
        self.push(self.behind(change.touched))

    def behind(self, values: Iterable[Value]) -> list[Node]:
        """The nodes that a pattern reaches the values from: their readers, and those behind."""
        found: dict[Node, None] = {}
        frontier = list(values)
        for _ in range(self.reach):
            readers = dict.fromkeys(r for v in frontier for r in self.few_readers(v))
            new = sorted((r for r in readers if r not in found), key=self.ranks.__getitem__)
            found.update(dict.fromkeys(new[: _MOST_AGAIN - len(found)]))
            frontier = [v for r in new for v in r.outputs] if len(found) < _MOST_AGAIN else []
        return list(found)

    def few_readers(self, value: Value) -> tuple[Node, ...]:
        return value.readers if value.reader_count <= _FEW_READERS else ()
