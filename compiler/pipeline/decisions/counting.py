"""The decisions of one run of one pass: found, numbered, undone beyond a limit, and told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sparqc.ir.graph import Graph
from sparqc.pipeline.decisions.asked import Asked, numbered
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
    #: What the pass asked for, one by one.
    asked: Sequence[Asked] = ()
    #: Whether it applied rules as well, which told of their changes themselves.
    has_rules: bool = False
    #: Whether each change has a number of its own.
    is_separable: bool = False

    @classmethod
    def of(cls, pass_: Pass, graph: Graph, context: Context, number: int) -> Counting:
        """In front of the pass."""
        return cls(pass_, graph, Outline.of(graph), context.facts.copy(), number)

    def end(
        self,
        graph: Graph,
        changed: int,
        limit: int | None,
        asked: Sequence[Asked] = (),
        has_rules: bool = False,
    ) -> tuple[int, int]:
        """Behind the pass: find what it changed, and undo what is numbered beyond the limit, but
        where the pass itself asked for each change.

        Returns how many changes are left, in the pass's own count where none was undone, and how
        many numbers they took.
        """
        self.after, self.asked, self.has_rules = Outline.of(graph), asked, has_rules
        found = self.found = changes(self.before, self.after)
        self.is_separable = (
            not asked
            and graph is self.graph
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
        places = {d.name: str(d.span) for d in context.rules.declarations if d.span}
        outlines, rows = (self.before, self.after), self._rows(context)
        found, numbers = self.found, [self.number] * len(self.found)
        if self.is_separable:
            numbers = [self.number + place for place, _ in enumerate(found, 1)]
        pairs = numbered(found, self.asked)
        if self.asked:
            pairs = [(c, one) for c, one in pairs if one is not None or not self.has_rules]
            found = [change for change, _ in pairs]
            numbers = [one.number if one else self.number for _, one in pairs]
        events = list(told(self.pass_.name, self.number, numbers, found, outlines, rows, places))
        seen = {one for _, one in pairs}
        return [*(self._unseen(one) for one in self.asked if one not in seen), *events]

    def _unseen(self, asked: Asked) -> DecisionEvent:
        """What was done and changed no operator and no constant, but a type."""
        name = next((n for n in asked.names if n in self.after.nodes), asked.names[0])
        node = self.after.nodes.get(name)
        return DecisionEvent(
            seq=asked.number, pass_=self.pass_.name, what="alter", name=name,
            before=(name,), after=(name,),
            module=node.module if node else "", source=node.source if node else "",
        )  # fmt: skip

    def _rows(self, context: Context) -> Iterator[Row]:
        """What its facts say that they did not say before."""
        for fact in context.facts.since(self.facts):
            stood = {row.names: row for row in rows_of(self.facts.get(type(fact)))}
            yield from (row for row in rows_of(fact) if stood.get(row.names) != row)
