"""What stops a rewrite that would go on for ever, and names the rules that are to blame."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph, Node
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.lang.ast import RuleDecl
from sparqc.match.order import Order
from sparqc.match.result import Match

#: The longest cycle of applications that is recognised as one.
_WINDOW = 64
#: How often a rule may grow what it has made, beyond the number of operators of the graph.
_GROWTH = 50


class ApplicationLimit:
    """Counts the applications on one graph.

    As long as there are few for the size of the graph, that is all.  From then on the graph is
    compared with what it was some applications ago; snapshots are taken at ever longer intervals,
    so that this stays cheap.
    """

    def __init__(self, graph: Graph, table: OperatorTable, limit: int | None = None) -> None:
        self.used = 0
        self._graph, self._table = graph, table
        self._limit = 50 * len(graph) + 1000 if limit is None else limit
        #: How often in a row a rule has matched what it had made and left a larger graph, and what
        #: it has made.
        self._growth: dict[str, int] = {}
        self._made: dict[str, set[Node]] = {}
        self._most_growth = len(graph) + _GROWTH
        self._recent: deque[RuleDecl] = deque(maxlen=_WINDOW)
        self._next_snapshot = 2 * len(graph) + 100
        self._snapshot: tuple[bytes, bytes] | None = None
        self._taken_at = 0

    def count(self, rule: RuleDecl, match: Match, created: Sequence[Node], grown: int) -> None:
        """Count an application, by which the graph has `grown`.

        SparqcError where the limit is passed, the graph repeats, or a rule feeds itself.
        """
        self.used += 1
        self._check_growth(rule, match, created, grown)
        self._recent.append(rule)
        if self.used >= self._next_snapshot:
            self._snapshot = self._structure(), self._content()
            self._taken_at, self._next_snapshot = self.used, 2 * self.used
        elif self._snapshot is not None and self.used - self._taken_at <= _WINDOW:
            self._compare(self._snapshot)
        if self.used > self._limit:
            raise self._error(
                len(self._recent), f"still change the graph after {self._limit} applications"
            )

    def _check_growth(
        self, rule: RuleDecl, match: Match, created: Sequence[Node], grown: int
    ) -> None:
        """What a rule moves through a graph is moved as often as the graph has operators, at most:
        one that grows at its own output more often never ends."""
        made = self._made.setdefault(rule.name, set())
        feeds_itself = grown > 0 and any(node in made for node in match.nodes)
        self._growth[rule.name] = self._growth.get(rule.name, 0) + 1 if feeds_itself else 0
        made.update(created)
        if self._growth[rule.name] > self._most_growth:
            times = self._growth[rule.name]
            raise self._error(1, f"feed itself: {times} times in a row it grew what it had made")

    def _compare(self, snapshot: tuple[bytes, bytes]) -> None:
        if self._structure() == snapshot[0] and self._content() == snapshot[1]:
            length = self.used - self._taken_at
            raise self._error(
                length, f"go round in a circle: {length} applications leave the graph as it was"
            )

    def _error(self, last: int, what: str) -> SparqcError:
        rules = {rule.name: rule for rule in list(self._recent)[-last:]}
        names = ", ".join(sorted(rules))
        return SparqcError(
            f"the rules {names} {what}" if len(rules) > 1 else f"the rule {names} would {what}",
            span=rules[min(rules)].span,
            hint="one of them makes what another one takes apart: refuse that in its `where`"
            if len(rules) > 1
            else "its rewrite makes what it matches: refuse that in its `where`",
        )

    def _structure(self) -> bytes:
        order = Order(self._graph, self._table)
        keys = b"".join(order.key(v)[0] for v in self._graph.outputs)
        return keys + str(len(self._graph)).encode()

    def _content(self) -> bytes:
        digest = blake2b()
        for value in sorted(self._graph.constants, key=lambda v: v.name):
            digest.update(np.ascontiguousarray(value.data).tobytes())
        return digest.digest()
