"""Matching declarations at the nodes of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import Generic, TypeVar, cast

import numpy as np

from sparqc.declared.natives import Native
from sparqc.errors import Span
from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.vocabulary.traits import TRAITS, Trait
from sparqc.lang.ast import Condition, Declaration, OpDecl, Path
from sparqc.match.evaluate import failing
from sparqc.match.order import Order
from sparqc.match.paths import Paths
from sparqc.match.program import Program
from sparqc.match.result import Match, Matched, Miss
from sparqc.match.rulebook import RuleBook
from sparqc.match.search_plan import Planner, SearchPlan
from sparqc.match.terms import Term, show

__all__ = ["Index", "Match", "Matched", "Matcher", "Miss"]

D = TypeVar("D", bound=Declaration)


class Matcher:
    """Finds matches; keeps the search plans of the declarations it was asked for.

    Which match comes first depends on what the graph computes, not on the order of its nodes, of
    commuting operands, or of declarations.
    """

    def __init__(self, book: RuleBook, table: OperatorTable, target: str | None = None) -> None:
        self.book, self.table, self.target = book, table, target
        self._planners: dict[Level, Planner] = {}
        self._programs: dict[SearchPlan, Program] = {}
        self._paths = Paths(partial(is_constant, table=table), self.is_of_family, self.family_reads)
        self._order: Order | None = None

    @property
    def natives(self) -> Mapping[str, Native]:
        """The functions that conditions and rewrites may call."""
        return self.book.natives

    @cached_property
    def knobs(self) -> Mapping[str, str | float]:
        """What `knob.name` in a condition is set to."""
        return self.book.knobs

    def matches(self, decl: Declaration, node: Node) -> list[Match]:
        """Every match with `node` at its root, most operators first; `where` is not asked yet."""
        found = self._program(decl, node.graph.level).run(node, self)
        if len(found) > 1:
            order = self.order(node.graph)
            distinct = {_identity(m): m for m in reversed(found)}
            found = sorted(distinct.values(), key=lambda m: _rank(m, order))
        return found

    def holding(self, decl: Declaration, node: Node) -> Iterator[Match]:
        """The matches whose `where` holds, most operators first."""
        return (m for m in self.matches(decl, node) if self.holds(m))

    def holds(self, match: Match) -> bool:
        """Whether the `where` of a match's declaration holds."""
        where = match.decl.where
        return not where or failing(where, match, self) is None

    def first(self, decl: Declaration, node: Node) -> Match | None:
        """The first match whose `where` holds."""
        return next(filter(self.holds, self.matches(decl, node)), None)

    def roots(self, decl: Declaration) -> frozenset[str]:
        """The operators that may stand at the root of a match."""
        return frozenset(
            op for level in decl.levels for op in self._plan(decl, level).root.roots.ops
        )

    def depth(self, decl: Declaration) -> int:
        """The most operators between the root of a match and what it reads."""
        return max((self._plan(decl, level).depth for level in decl.levels), default=0)

    def most(self, decl: Declaration, root: Node) -> float:
        """A number of operators that no match with that root has more of."""
        return self._plan(decl, root.graph.level).most(root.op)

    def explain(self, decl: Declaration, node: Node) -> Miss | None:
        """Why a declaration does not match with `node` at its root; None where it does."""
        attempt = _Attempt()
        program = Program(self._plan(decl, node.graph.level), listening=True)
        misses = []
        for match in program.run(node, self, attempt.hear):
            failed = failing(decl.where, match, self)
            if failed is None:
                return None
            misses.append((match, *failed))
        if misses:
            match, condition, reason = max(misses, key=lambda m: _how_far(decl, *m))
            return Miss(decl, node, reason, attempt.beyond, condition.span, condition, match)
        return Miss(decl, node, attempt.reason, attempt.progress, attempt.span)

    def leads(self, value: Value, graph: Graph, path: Path) -> bool:
        """Whether a path of a condition leads from a value of the graph."""
        return self._paths.lead(value, graph, path)

    def is_of_family(self, node: Node, name: str) -> bool:
        """Whether a node is the last operator of what a family, or a spelling, stands for."""
        if name in TRAITS:
            return self.table.has(node.op, cast(Trait, name))
        spellings = self.book.spellings(name, node.graph.level, self.target)
        return any(self.first(spelling, node) is not None for spelling in spellings)

    def family_reads(self, node: Node, name: str) -> tuple[Value, ...] | None:
        """What the parameters of a family stand for at a node, or all that the node reads where it
        has none; None where the node is not of the family."""
        if name in TRAITS:
            return tuple(node.inputs) if self.is_of_family(node, name) else None
        spellings = self.book.spellings(name, node.graph.level, self.target)
        matches = [m for m in (self.first(decl, node) for decl in spellings) if m is not None]
        read = [value for match in matches for value in _of_parameters(match)]
        return tuple(dict.fromkeys(read)) if matches else None

    def order(self, graph: Graph) -> Order:
        """The order by which choices in that graph are made; kept until `refresh`."""
        if self._order is None or self._order.graph is not graph:
            self._order = Order(graph, self.table)
        return self._order

    def refresh(self) -> None:
        """Forget the order: the next one is that of the graph as it is then."""
        self._order = None

    def _program(self, decl: Declaration, level: Level) -> Program:
        plan = self._plan(decl, level)
        if plan not in self._programs:
            self._programs[plan] = Program(plan)
        return self._programs[plan]

    def _plan(self, decl: Declaration, level: Level) -> SearchPlan:
        if level not in self._planners:
            self._planners[level] = Planner(self.book, level, self.target)
        return self._planners[level].plan(decl)


class Index(Generic[D]):
    """Declarations by the operators at their roots, so that other nodes cost nothing."""

    def __init__(self, matcher: Matcher, declarations: Iterable[D]) -> None:
        found: dict[str, list[D]] = {}
        for declaration in sorted(declarations, key=lambda d: d.name):
            for op in matcher.roots(declaration):
                found.setdefault(op, []).append(declaration)
        self._found = {op: tuple(known) for op, known in found.items()}

    def at(self, node: Node) -> tuple[D, ...]:
        """Those that may match with the node at their root, in the order of their names."""
        return self._found.get(node.op, ())


class _Attempt:
    """Listens to a search and keeps the dead end that came farthest."""

    def __init__(self) -> None:
        self.progress, self.reason = -1, "it does not match"
        self.span: Span | None = None
        self.beyond = 0

    def hear(self, progress: int, reason: str, span: Span | None) -> None:
        self.beyond = max(self.beyond, progress + 1)
        # Of two that came equally far, the text decides, not the order of the search.
        if (progress, self.reason) > (self.progress, reason):
            self.progress, self.reason, self.span = progress, reason, span


def _how_far(
    decl: Declaration, match: Match, condition: Condition, reason: str
) -> tuple[int, int, str]:
    return decl.where.index(condition), len(match.nodes), reason


def _of_parameters(match: Match) -> Iterator[Value]:
    """What the parameters of a spelling stand for; all that its last operator reads without any."""
    parameters = cast(OpDecl, match.decl).parameters
    if not parameters:
        yield from match.root.inputs
    for parameter in parameters:
        bound = match.bindings.get(parameter.name)
        yield from (v for v in (bound if isinstance(bound, tuple) else (bound,))
                    if isinstance(v, Value))  # fmt: skip


def _identity(match: Match) -> tuple[object, ...]:
    """What tells matches apart: two paths of the search may end in the same one."""
    return match.nodes, tuple((n, _identify(t)) for n, t in match.bindings.items())


def _identify(term: Term) -> object:
    if isinstance(term, tuple):
        return tuple(map(_identify, term))
    return id(term) if isinstance(term, (Value, np.ndarray)) else term


def _rank(match: Match, order: Order) -> tuple[object, ...]:
    """Most operators first; then by what the names stand for, in the order of the pattern."""
    bound = tuple(_term_key(term, order) for term in match.bindings.values())
    return -len(match.nodes), bound, tuple(order.node_key(n) for n in match.nodes)


def _term_key(term: Term, order: Order) -> tuple[object, ...]:
    if isinstance(term, Value):
        return 1, *order.key(term)
    if isinstance(term, tuple):
        return 2, tuple(_term_key(item, order) for item in term)
    return (0,) if term is None else (3, show(term))
