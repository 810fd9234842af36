"""A glance at what defines a value and its operands, which spares most searches.

Of each goal a test is made, once: it says no only where a search would find nothing, so that it
may stand in front of any.  It knows operators, operand orders, `maybe`, spellings, types, shapes
and constness; what names bind to and what attributes hold is for the search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sparqc.ir.graph import Node, Value
from sparqc.lang.ast import Constraint
from sparqc.match.constraints import match_dims
from sparqc.match.operand_orders import operand_orders, operands_of
from sparqc.match.rulebook import RuleBook
from sparqc.match.search_plan import BindGoal, CallGoal, Goal, SearchPlan

#: Whether a value, or None for an operand that is not there, may meet a goal.
Glance = Callable[["Value | None"], bool]
_Operands = Sequence[tuple[int, Glance]]


def glance_at(goal: CallGoal) -> Glance:
    """The test of a call, for what is at the root of a search."""
    return _Looking({}, ()).at(goal)


@dataclass(frozen=True)
class _Looking:
    """Makes the tests of one block."""

    #: What the parameters of a spelling must meet: the operands of the call that it spells.
    given: Mapping[str, Glance]
    #: The calls around this one.
    inside: tuple[CallGoal, ...]

    def at(self, goal: CallGoal) -> Glance:
        if goal in self.inside:  # a spelling in itself: only its first operator is looked at
            return lambda value: goal.roots.admit(_op(value))
        inside = _Looking(self.given, (*self.inside, goal))
        tests = [inside._of_operand(o, goal.planner.book) for o in goal.operands]
        operands = [(i, test) for i, test in enumerate(tests) if test is not None]
        others = [inside._spelled(goal, tests, plan) for plan in goal.spellings]
        if goal.call.maybe:
            others.append(tests[0] or _anything)

        def test(value: Value | None) -> bool:
            node = value.producer if value is not None else None
            if (
                node is not None
                and node.op in goal.direct
                and (not operands or _may_read(node, goal, operands))
            ):
                return True
            return any(other(value) for other in others)

        return test

    def _spelled(self, goal: CallGoal, tests: Sequence[Glance | None], plan: SearchPlan) -> Glance:
        row = goal.planner.book.table.get(plan.decl.name)
        swaps = row is not None and row.commutes and not goal.call.ordered
        pairs = [] if swaps else zip(plan.parameters, tests, strict=False)
        given = {bind.name: test for bind, test in pairs if test is not None}
        return _Looking(given, self.inside).at(plan.root)

    def _of_operand(self, goal: Goal, book: RuleBook) -> Glance | None:
        """The test of an operand; None where nothing can be told."""
        if isinstance(goal, CallGoal):
            return self.at(goal)
        if not isinstance(goal, BindGoal) or goal.bind.optional:
            return None
        if goal.statement is not None:
            return self.at(goal.statement)
        wanted, given = goal.bind.constraint, self.given.get(goal.bind.name)
        if wanted is None:
            return given
        return lambda value: _fits(wanted, book, value) and (given is None or given(value))


def _may_read(node: Node, goal: CallGoal, operands: _Operands) -> bool:
    """Whether the operands of the node may be those of the call, in one of their orders."""
    given = operands_of(node)
    if _all_meet(given, operands):
        return True
    row = goal.planner.book.table.get(node.op)
    if row is None or not row.commutes:
        return False
    return any(_all_meet(o, operands) for o in operand_orders(given, row, goal.call.ordered))


def _all_meet(given: Sequence[Value | None], operands: _Operands) -> bool:
    return all(index < len(given) and test(given[index]) for index, test in operands)


def _fits(wanted: Constraint, book: RuleBook, value: Value | None) -> bool:
    if value is None or (wanted.dtypes and value.type.dtype not in wanted.dtypes):
        return False
    if wanted.dims is not None and match_dims(wanted.dims, value.shape) is None:
        return False
    if not wanted.const or value.data is not None:
        return True
    row = book.table.get(value.producer.op) if value.producer is not None else None
    return row is not None and row.constant_expression


def _op(value: Value | None) -> str | None:
    return value.producer.op if value is not None and value.producer is not None else None


def _anything(_: Value | None) -> bool:
    return True
