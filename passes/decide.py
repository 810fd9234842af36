"""Which fusions run in INT8: the cover of the graph, the conditions, and what follows from both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from sparqc.engine.cover import cover
from sparqc.engine.evaluate import failing
from sparqc.engine.match import Index, Match, Matcher
from sparqc.ir.graph import Graph, Node, Value
from sparqc.lang.ast import FusionDecl, ShareDecl
from sparqc.passbase import Context
from sparqc.passes.insert_quantizers import Slot
from sparqc.passes.select import select


@dataclass
class Decision:
    """One covered fusion, and why it stays in float ("" where it does not)."""

    match: Match
    reason: str = ""

    @property
    def fusion(self) -> FusionDecl:
        """The declaration that was matched."""
        return cast(FusionDecl, self.match.decl)

    @property
    def weighted(self) -> bool:
        """Whether it has a weight; the others run in INT8 only where both neighbours do."""
        return any(line.granularity == "channel" for line in self.fusion.int8)

    def reads(self) -> Iterator[tuple[Value, Slot]]:
        """Each value that the fusion takes in INT8 per tensor, with each slot that reads it."""
        names = [n for q in self.fusion.int8 if q.granularity == "tensor" for n in q.names]
        wanted = {id(v): v for n in names if isinstance(v := self.match.bindings.get(n), Value)}
        for node in self.match.nodes:
            for slot, operand in node.operands.items():
                if isinstance(operand, Value) and id(operand) in wanted:
                    yield operand, (node, slot)


@dataclass(frozen=True)
class Movement:
    """One operator through which a scale passes unchanged."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    rule: str


def movements(graph: Graph, context: Context, matcher: Matcher) -> dict[Node, Movement]:
    """The operators that the `share` declarations match, by their root."""
    index = Index(matcher, context.rules.shares(graph.level, context.target.name))
    found: dict[Node, Movement] = {}
    for node in graph.nodes:
        for share in index.at(node):
            if match := matcher.first(share, node):
                found[node] = _movement(match)
                break
    return found


def _movement(match: Match) -> Movement:
    share = cast(ShareDecl, match.decl)
    values: list[Value] = []
    for name in share.scale:
        bound = match.bindings[name]
        values += cast("tuple[Value, ...]", bound if isinstance(bound, tuple) else (bound,))
    inputs = tuple(v for v in values if v.producer is not match.root)
    # Naming one output of an operator with several (Split) names them all.
    return Movement(inputs, match.root.outputs, share.name)


class Decider:
    """Decides for every fusion of a graph; `decisions` holds the result."""

    def __init__(self, graph: Graph, context: Context) -> None:
        self.graph, self.context = graph, context
        self.matcher = Matcher(context.rules, context.table, context.target.name)
        self.movements = movements(graph, context, self.matcher)
        fusions = context.rules.fusions(graph.level, context.target.name)
        self.cover = cover(graph, self.matcher, fusions)
        self.decisions = [Decision(match) for match in self.cover]
        self.roots = {d.match.root: d for d in self.decisions}
        self._apply_conditions()
        self._follow_neighbours()

    def _apply_conditions(self) -> None:
        excluded = select(self.graph, self.context.exclude, self.context.table)
        for decision in self.decisions:
            taken = next((excluded[n] for n in decision.match.nodes if n in excluded), None)
            if taken is not None:
                decision.reason = f"excluded by --exclude {taken}"
            elif not decision.fusion.int8:
                decision.reason = "the fusion takes no operand in INT8"
            elif miss := failing(decision.fusion.int8_where, decision.match, self.matcher):
                decision.reason = miss[1]

    def _follow_neighbours(self) -> None:
        """Put each fusion without weights into float unless INT8 stands on both its sides.

        One fusion that falls back to float can take others with it, hence the repetition; it ends
        because each round but the last sends at least one more to float.
        """
        changed = True
        while changed:
            changed = False
            wanted, given = self.wanted(self.requests()), self._from_int8()
            for decision in self.decisions:
                if decision.reason or decision.weighted:
                    continue
                if not wanted.issuperset(decision.match.root.outputs):
                    decision.reason = "not every reader of its output runs in INT8"
                elif not given.issuperset(v for v, _ in decision.reads()):
                    decision.reason = "its input does not come from an INT8 kernel"
                changed |= bool(decision.reason)

    def requests(self) -> dict[Value, dict[Slot, Decision]]:
        """The values that INT8 fusions read, and the slots that read them so."""
        found: dict[Value, dict[Slot, Decision]] = {}
        for decision in self.decisions:
            if not decision.reason:
                for value, slot in decision.reads():
                    found.setdefault(value, {})[slot] = decision
        return found

    def wanted(self, slots: dict[Value, dict[Slot, Decision]]) -> set[Value]:
        """The values that every reader takes in INT8, directly or through data movement."""
        found: set[Value] = set()
        for node in reversed(list(self.graph.nodes)):
            for value in node.outputs:
                if value.readers and not value.is_output and self._all_take(value, slots, found):
                    found.add(value)
        return found

    def _all_take(
        self, value: Value, slots: dict[Value, dict[Slot, Decision]], wanted: set[Value]
    ) -> bool:
        asked = slots.get(value, {})
        return all(
            (node, slot) in asked or self.moves(node, wanted)
            for node in value.readers
            for slot in node.slots_of(value)
        )

    def moves(self, node: Node, wanted: set[Value]) -> bool:
        """Whether the operator moves INT8 codes: all of what it gives is wanted in INT8."""
        return node in self.movements and wanted.issuperset(node.outputs)

    def _from_int8(self) -> set[Value]:
        """The values that leave an INT8 kernel, directly or through data movement."""
        found: set[Value] = set()
        for node in self.graph.nodes:
            if decision := self.roots.get(node):
                given = not decision.reason
            else:
                movement = self.movements.get(node)
                given = movement is not None and found.issuperset(movement.inputs)
            if given:
                found.update(node.outputs)
        return found
