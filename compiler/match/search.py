"""One search for all matches of a plan at one node: what it has bound, and what it found.

The goals of a plan are functions that `sparqc.match.program` makes once; each calls the one behind
it where it is met, so that a path of the search is a chain of calls.  Each choice (operand order,
`maybe`, the spellings of a head) is tried in turn; what a path has bound is undone when it is left.
Nothing is decided by the order in which paths are tried: `sparqc.match.match` sorts what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparqc.errors import Span
from sparqc.ir.graph import Node, Value
from sparqc.match import reasons
from sparqc.match.evaluate import Environment, failing
from sparqc.match.result import Match, Matched
from sparqc.match.search_plan import CallGoal, SearchPlan
from sparqc.match.terms import Term, same

#: Told of each dead end: how far the path was, its reason, and the line of the pattern.
Listener = Callable[[int, str, Span | None], None]
_ABSENT = object()


class Slot:
    """What a search keeps one thing in: a term under a name of the block, or a note of its own."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


@dataclass(eq=False)
class Frame:
    """The names of one block: of the declaration, or of a spelling inside it."""

    plan: SearchPlan
    parent: Frame | None = None
    slots: dict[str, Slot] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.depth: int = 0 if self.parent is None else 1 + self.parent.depth
        #: The value that a spelling is tried at, and how many steps there were before.
        self.at, self.start = Slot("at"), Slot("start")
        #: Operands of the root operator that the block leaves open.
        self.leftover = Slot("leftover")

    def slot(self, name: str) -> Slot | None:
        """Where a name of the block is bound; None for "_", which never is."""
        return None if name == "_" else self.slots.setdefault(name, Slot(name))


class Search:
    """The state of one search."""

    __slots__ = ("bound", "environment", "found", "listener", "met", "node", "steps", "table",
                 "trail")  # fmt: skip

    def __init__(self, node: Node, environment: Environment, listener: Listener | None) -> None:
        self.node, self.environment, self.table = node, environment, environment.table
        self.listener = listener
        self.found: list[Match] = []
        self.bound: dict[Slot, Any] = {}
        #: The slots of names, in the order in which they were bound.
        self.trail: list[Slot] = []
        self.steps: list[tuple[Frame, CallGoal, Matched]] = []
        #: How many goals the path has met; counted where somebody listens.
        self.met = 0

    def bind(self, slot: Slot | None, term: Term, span: Span | None) -> bool:
        """Let a name stand for a term; False where it stands for another one already."""
        if slot is None:
            return True
        known = self.bound.get(slot, _ABSENT)
        if known is _ABSENT:
            self.bound[slot] = term
            self.trail.append(slot)
            return True
        if same(known, term):
            return True
        self.miss(span, reasons.two_terms, slot.name, known, term)
        return False

    def undo(self, mark: int) -> None:
        """Forget what was bound since the trail had that length."""
        trail, bound = self.trail, self.bound
        while len(trail) > mark:
            del bound[trail.pop()]

    def miss(self, span: Span | None, say: Callable[..., str], *arguments: object) -> None:
        """Note a dead end."""
        if self.listener is not None:
            self.listener(self.met, say(*arguments), span)

    def nodes(self, start: int = 0) -> tuple[Node, ...]:
        """The operators of the steps since `start`, each once, in the order of the pattern."""
        if len(self.steps) == start + 1:
            return self.steps[start][2].nodes
        return tuple(dict.fromkeys(n for _, _, m in self.steps[start:] for n in m.nodes))

    def holds(self, frame: Frame, nodes: tuple[Node, ...]) -> bool:
        """Whether the `where` of a spelling holds."""
        decl = frame.plan.decl
        if not decl.where:
            return True
        failed = failing(decl.where, self._match(frame, nodes), self.environment)
        if failed is not None:
            self.miss(failed[0].span, reasons.plain, f"no {decl.name}: {failed[1]}")
        return failed is None

    def accept(self, frame: Frame) -> None:
        """Keep the path as a match, unless something outside reads what it would take away."""
        nodes = self.nodes()
        if not nodes or nodes[0] is not self.node:
            return  # every `maybe` was left out
        if (value := self._read_outside(nodes)) is not None:
            self.miss(frame.plan.decl.span, reasons.read_outside, value, nodes)
        else:
            self.found.append(self._match(frame, nodes))

    def _read_outside(self, nodes: Sequence[Node]) -> Value | None:
        """A value inside the match that something outside reads."""
        if len(nodes) == 1:
            return None
        inside = set(nodes)
        exempt = {m.nodes[0] for _, goal, m in self.steps if goal.shared and m.nodes}
        for node in nodes[1:]:
            for value in node.outputs if node not in exempt else ():
                # More readers than matched operators: no need to look at thousands of them.
                if value.is_output or value.reader_count > len(inside):
                    return value
                if not inside.issuperset(value.readers):
                    return value
        return None

    def _match(self, frame: Frame, nodes: tuple[Node, ...]) -> Match:
        bound, slots = self.bound, frame.slots
        bindings = {n: bound.get(slots[n]) for n in frame.plan.names}
        calls = tuple(m for owner, _, m in self.steps if owner is frame)
        return Match(frame.plan.decl, self.node, nodes, bindings, calls)
