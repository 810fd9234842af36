"""The search plan of a declaration: its `match` block with every name resolved, made once.

A plan is a tree of goals.  A goal meets a value and succeeds or fails; `sparqc.match.search` walks
them.  Statements that are read by name are shared between the goals that read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import inf

from sparqc.errors import PatternError
from sparqc.ir.types import Level
from sparqc.lang.ast import (
    Bind,
    CallPattern,
    Declaration,
    MatchStatement,
    Number,
    OpDecl,
)
from sparqc.match.rulebook import RuleBook


@dataclass(slots=True, eq=False)
class BindGoal:
    """A name in an operand slot, with the statement that defines it where one does."""

    bind: Bind
    statement: CallGoal | None = None
    index: int = 0  # which output of the statement


@dataclass(slots=True, eq=False)
class NumberGoal:
    """A literal in an operand slot."""

    number: Number


@dataclass(eq=False)
class CallGoal:
    """A call: one of its heads, or any spelling of them, must define the value."""

    call: CallPattern
    planner: Planner
    targets: tuple[str, ...] = ()
    shared: bool = False
    operands: tuple[Goal, ...] = ()
    #: Operator names that match as they are.
    direct: frozenset[str] = frozenset()
    #: The operands' indices, those first that are decided without looking at other operators.
    cheap_first: tuple[int, ...] = ()

    @cached_property
    def spellings(self) -> tuple[SearchPlan, ...]:
        """Other ways to write the heads.  Late, because a spelling may contain itself."""
        return tuple(p for head in self.call.heads for p in self.planner.spellings(head))

    @cached_property
    def roots(self) -> Roots:
        """Which operators may define the value."""
        return _roots(self, ())


Goal = BindGoal | NumberGoal | CallGoal


@dataclass(frozen=True)
class Roots:
    """The operators that may stand at the root of a call.

    With `through` the call may also be met by any value, because it need not take an operator
    (`maybe nn.relu(x)`).
    """

    ops: frozenset[str]
    through: bool = False

    def admit(self, op: str | None) -> bool:
        """Whether the call can possibly be met by the result of that operator (None: of none)."""
        return self.through or op in self.ops


def _depth(goal: Goal, inside: tuple[CallGoal, ...] = ()) -> int:
    """The most operators that a path from the goal's value to its operands meets."""
    call = goal.statement if isinstance(goal, BindGoal) else goal
    if not isinstance(call, CallGoal) or call in inside:
        return 0
    inside = (*inside, call)
    call_depth = max([1, *(_depth(plan.root, inside) for plan in call.spellings)])
    return call_depth + max((_depth(operand, inside) for operand in call.operands), default=0)


def _most(goal: Goal, op: str | None = None, inside: tuple[CallGoal, ...] = ()) -> float:
    """The most operators that meet a goal, by a value that `op` gives (None: anything)."""
    call = goal.statement if isinstance(goal, BindGoal) else goal
    if not isinstance(call, CallGoal):
        return 0
    if call in inside:
        return inf
    inside = (*inside, call)
    operands = sum(_most(operand, None, inside) for operand in call.operands)
    roots = (plan.root for plan in call.spellings)
    ways = [_most(root, op, inside) for root in roots if op is None or root.roots.admit(op)]
    if op is None or op in call.direct:
        ways.append(1)
    stand_in = _most(call.operands[0], op, inside) if call.call.maybe else 0
    return max(stand_in, operands + max(ways, default=0))


def _roots(goal: CallGoal, inside: tuple[CallGoal, ...]) -> Roots:
    if goal in inside:
        return Roots(frozenset())
    inside = (*inside, goal)
    spelled = [_roots(plan.root, inside) for plan in goal.spellings]
    ops = goal.direct.union(*(found.ops for found in spelled))
    # Which operand a spelling passes through is not worth tracing: any may be the one.
    stand_ins = goal.operands if any(found.through for found in spelled) else ()
    if goal.call.maybe:
        stand_ins = stand_ins or goal.operands[:1]
    inner = [_roots_of_operand(operand, inside) for operand in stand_ins]
    return Roots(ops.union(*(found.ops for found in inner)), any(found.through for found in inner))


def _roots_of_operand(goal: Goal, inside: tuple[CallGoal, ...]) -> Roots:
    call = goal.statement if isinstance(goal, BindGoal) else goal
    return _roots(call, inside) if isinstance(call, CallGoal) else Roots(frozenset(), through=True)


@dataclass(eq=False)
class SearchPlan:
    """The search plan of one declaration at one level."""

    decl: Declaration
    root: CallGoal
    #: Every name of the block, in the order of the text.
    names: tuple[str, ...]
    parameters: tuple[Bind, ...] = ()

    _most: dict[str, float] = field(default_factory=dict)

    @cached_property
    def depth(self) -> int:
        """How many operators deep a match can be."""
        return _depth(self.root)

    def most(self, op: str) -> float:
        """A number of operators that no match with that one at its root has more of."""
        if op not in self._most:
            self._most[op] = _most(self.root, op)
        return self._most[op]


@dataclass
class Planner:
    """Makes and keeps the plans of one level (and target, for spellings)."""

    book: RuleBook
    level: Level
    target: str | None = None
    _plans: dict[int, SearchPlan] = field(default_factory=dict)

    def plan(self, decl: Declaration) -> SearchPlan:
        """The plan of a declaration; PatternError where its block has not exactly one root."""
        if id(decl) not in self._plans:
            self._plans[id(decl)] = _Compiler(decl, self).plan()
        return self._plans[id(decl)]

    def is_family(self, name: str) -> bool:
        """Whether a name stands for other operators only."""
        return name not in self.book.table.names and bool(self.book.spellings(name))

    def spellings(self, name: str) -> tuple[SearchPlan, ...]:
        """The plans of every spelling of an operator or family at this level."""
        found = self.book.spellings(name, self.level, self.target)
        return tuple(self.plan(decl) for decl in found)


class _Compiler:
    """Compiles one declaration."""

    def __init__(self, decl: Declaration, planner: Planner) -> None:
        self.decl, self.planner = decl, planner
        self.definitions = dict(self._define())
        self.goals: dict[int, CallGoal] = {}
        self.names: dict[str, None] = {}

    def plan(self) -> SearchPlan:
        root = self._root()
        goal = self._statement(root)
        lost = [s for s in self.decl.match if id(s) not in self.goals]
        if lost:
            raise self._error(f"{lost[0].targets[0]!r} is no part of {root.targets[0]!r}", lost[0])
        parameters = self.decl.parameters if isinstance(self.decl, OpDecl) else ()
        for bind in parameters:
            self._note(bind.name)
            self._constraint(bind)
        return SearchPlan(self.decl, goal, tuple(self.names), parameters)

    def _define(self) -> Iterator[tuple[str, tuple[MatchStatement, int]]]:
        seen: set[str] = set()
        for statement in self.decl.match:
            for index, name in enumerate(statement.targets):
                if name in seen and name != "_":
                    raise self._error(f"{name!r} is defined twice", statement)
                seen.add(name)
                yield name, (statement, index)

    def _root(self) -> MatchStatement:
        """The statement whose values nothing else in the block reads."""
        read = {name for s in self.decl.match for name in _read(s.call)}
        roots = [s for s in self.decl.match if not read.intersection(s.targets)]
        if len(roots) != 1:
            names = " and ".join(repr(s.targets[0]) for s in roots) or "no value"
            raise self._error(
                f"the match block needs one value that nothing else in it reads, and has {names}",
                roots[1] if roots else None,
            )
        return roots[0]

    def _statement(self, statement: MatchStatement) -> CallGoal:
        if id(statement) in self.goals:
            return self.goals[id(statement)]
        goal = CallGoal(statement.call, self.planner, statement.targets, statement.shared)
        self.goals[id(statement)] = goal
        for name in statement.targets:
            self._note(name)
        return self._fill(goal)

    def _fill(self, goal: CallGoal) -> CallGoal:
        call = goal.call
        if call.maybe and not call.operands:
            raise self._error(f"'maybe {call.heads[0]}' needs an operand to stand for it", None)
        goal.direct = frozenset(h for h in call.heads if not self.planner.is_family(h))
        goal.operands = tuple(self._operand(operand) for operand in call.operands)
        goal.cheap_first = tuple(sorted(range(len(goal.operands)), key=lambda i: _cost(goal, i)))
        for name in (*(a.bind for a in call.attributes), call.rest):
            self._note(name)
        return goal

    def _operand(self, operand: Bind | Number | CallPattern) -> Goal:
        if isinstance(operand, Number):
            return NumberGoal(operand)
        if isinstance(operand, CallPattern):
            return self._fill(CallGoal(operand, self.planner))
        self._note(operand.name)
        self._constraint(operand)
        if operand.name == "_" or operand.name not in self.definitions:
            return BindGoal(operand)
        statement, index = self.definitions[operand.name]
        return BindGoal(operand, self._statement(statement), index)

    def _constraint(self, bind: Bind) -> None:
        for dim in (bind.constraint.dims or ()) if bind.constraint else ():
            if isinstance(dim, str) and dim != "...":
                self._note(dim)

    def _note(self, name: str | None) -> None:
        if name is not None and name != "_":
            self.names.setdefault(name)

    def _error(self, message: str, statement: MatchStatement | None) -> PatternError:
        span = (statement.span if statement else None) or self.decl.span
        return PatternError(f"{self.decl.name}: {message}", span=span)


def _read(call: CallPattern) -> Iterable[str]:
    for operand in call.operands:
        if isinstance(operand, Bind):
            yield operand.name
        elif isinstance(operand, CallPattern):
            yield from _read(operand)


def _cost(goal: CallGoal, index: int) -> int:
    operand = goal.operands[index]
    if isinstance(operand, CallGoal):
        return 2
    return 1 if isinstance(operand, BindGoal) and operand.statement is not None else 0
