"""What matching gives: a match, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sparqc.errors import Span
from sparqc.ir.graph import Node, Value
from sparqc.lang.ast import CallPattern, Condition, Declaration
from sparqc.match.terms import Term


@dataclass(frozen=True, eq=False)
class Matched:
    """One call of a pattern and what it matched."""

    call: CallPattern
    value: Value  # the result
    operands: tuple[Value | None, ...]  # in the order of the pattern
    nodes: tuple[Node, ...]  # more than one for a spelling; the operator that defines value first


@dataclass(frozen=True, eq=False)
class Match:
    """A place in a graph where the `match` block of a declaration fits."""

    decl: Declaration
    root: Node
    #: Every matched operator, the root first.
    nodes: tuple[Node, ...]
    #: Every name of the block; None for an absent operand and what an untaken `maybe` would bind.
    bindings: Mapping[str, Term]
    #: The calls of the block that were taken, those inside spellings excluded.
    calls: tuple[Matched, ...]

    @property
    def taken(self) -> frozenset[str]:
        """Which `maybe` calls matched: by the operator or family written, and the one found."""
        return frozenset(name for call in self._maybes() for name in _names(call))

    def taken_call(self, op: str) -> Matched | None:
        """The `maybe` call of an operator or family, None where it was not taken."""
        return next((call for call in self._maybes() if op in _names(call)), None)

    def family_call(self, family: str) -> Matched | None:
        """The call of a family that the match has, which a rewrite may build again."""
        return next((call for call in self.calls if family in call.call.heads), None)

    def operators_of(self, value: Value) -> tuple[Node, ...]:
        """The operators that a value stands for: those of a spelling, its root first."""
        for call in self.calls:
            if call.value is value and call.nodes:
                return call.nodes
        return (value.producer,) if value.producer is not None else ()

    def _maybes(self) -> Iterator[Matched]:
        return (call for call in self.calls if call.call.maybe)


def _names(call: Matched) -> tuple[str, ...]:
    return (*call.call.heads, call.nodes[0].op) if call.nodes else call.call.heads


@dataclass(frozen=True, eq=False)
class Miss:
    """Why a declaration does not match at a node: the attempt that came farthest."""

    decl: Declaration
    node: Node
    #: In words: "conv_1 is read outside of the match, by add_2".
    reason: str
    #: How many steps of the pattern the attempt had behind it; more is nearer to a match.
    progress: int = 0
    #: The line of the pattern file that was not met.
    span: Span | None = None
    #: The `where` line that does not hold, and the match it was asked of.
    condition: Condition | None = None
    match: Match | None = None

    def __str__(self) -> str:
        return self.reason
