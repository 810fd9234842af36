"""The decisions of one run of one pass: found, numbered, undone beyond a limit, and told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sparqc.ir.graph import Graph
from sparqc.pipeline.decisions.changes import Change, changes
from sparqc.pipeline.decisions.outline import Outline
from sparqc.pipeline.decisions.rows import Row, rows_of
from sparqc.pipeline.decisions.told import told
from sparqc.pipeline.decisions.undo import can_undo, undo
from sparqc.pipeline.events import DecisionEvent
from sparqc.pipeline.passbase import Pass
from sparqc.rewrite.context import Context
from sparqc.rewrite.facts import Facts


@dataclass
class Counting:
    """What is known in front of a pass, and behind it what the pass decided."""

    pass_: Pass
    graph: Graph
    before: Outline
    facts: Facts
    #: The number of the pass.
    number: int
    after: Outline = field(init=False)
    found: Sequence[Change] = ()
    #: Whether each change has a number of its own.
    is_separable: bool = False

    @classmethod
    def of(cls, pass_: Pass, graph: Graph, context: Context, number: int) -> Counting:
        """In front of the pass."""
        return cls(pass_, graph, Outline.of(graph), context.facts.copy(), number)

    def end(self, graph: Graph, changed: int, limit: int | None) -> tuple[int, int]:
        """Behind the pass: find what it changed, and undo what is numbered beyond the limit.

        Returns how many changes are left, in the pass's own count where none was undone, and how
        many numbers they took.
        """
        self.after = Outline.of(graph)
        found = self.found = changes(self.before, self.after)
        self.is_separable = (
            graph is self.graph
            and self.pass_.is_separable()
            and all(can_undo(change, self.before, self.after) for change in found)
        )
        if not self.is_separable:
            return changed, 0
        allowed = len(found) if limit is None else max(0, limit - self.number)
        if allowed >= len(found):
            return changed, len(found)
        undo(graph, found[allowed:], self.before)
        self.found = found[:allowed]
        return allowed, allowed

    def events(self, context: Context) -> list[DecisionEvent]:
        """What it decided, and what its facts say."""
        numbers = [
            self.number + (place if self.is_separable else 0)
            for place, _ in enumerate(self.found, 1)
        ]
        places = {d.name: str(d.span) for d in context.rules.declarations if d.span}
        outlines = (self.before, self.after)
        return list(
            told(
                self.pass_.name,
                self.number,
                numbers,
                self.found,
                outlines,
                self._rows(context),
                places,
            )
        )

    def _rows(self, context: Context) -> Iterator[Row]:
        """What its facts say that they did not say before."""
        for fact in context.facts.since(self.facts):
            stood = {row.names: row for row in rows_of(self.facts.get(type(fact)))}
            yield from (row for row in rows_of(fact) if stood.get(row.names) != row)
