"""The functions that a search runs through, made of a plan once.

Each function tries one goal on a value, and calls the one behind it where the goal is met; the last
one keeps the match.  A call looks up by the operator that gives the value what is worth trying.
Spellings are made into functions where they are first tried, as they may contain themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sparqc.errors import PatternError
from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.lang.ast import AttributePattern, Bind
from sparqc.match import reasons
from sparqc.match.constraints import filled_with, match_dims
from sparqc.match.evaluate import Environment
from sparqc.match.operand_orders import operand_orders, operands_of
from sparqc.match.result import Match, Matched
from sparqc.match.search import Frame, Listener, Search, Slot
from sparqc.match.search_plan import BindGoal, CallGoal, Goal, NumberGoal, SearchPlan
from sparqc.match.terms import attributes_equal

#: How deep spellings may stand inside spellings; deeper ones are taken for endless.
DEEPEST = 30

#: Goes on with a search.
_Then = Callable[[Search], None]
#: Tries a goal on a value, or on None for an operand that is not there.
_Meet = Callable[[Search, "Value | None"], None]
#: Tries a call on a value in one way.
_Attempt = Callable[[Search, Value], None]
#: Tries operands, one order of them, of a call that these operators are.
_Place = Callable[[Search, Value, "tuple[Node, ...]", "tuple[Value | None, ...]"], None]
_Glance = Callable[[Node, OperatorTable], bool]
_Test = Callable[[Search, "Value | None"], bool]


class Program:
    """Finds the matches of one plan; with `listening`, it counts for a listener."""

    def __init__(self, plan: SearchPlan, listening: bool = False) -> None:
        self._listening = listening
        frame = Frame(plan)
        for name in plan.names:
            frame.slot(name)
        self._root = self._call(plan.root, frame, lambda search: search.accept(frame))

    def run(
        self, node: Node, environment: Environment, listener: Listener | None = None
    ) -> list[Match]:
        """Every match with the operator of the node at its root, in no particular order."""
        search = Search(node, environment, listener)
        for value in node.outputs:
            self._root(search, value)
        return search.found

    # -- goals -----------------------------------------------------------------------------------

    def _goal(self, goal: Goal, frame: Frame, then: _Then) -> _Meet:
        if isinstance(goal, BindGoal):
            meet = self._bind(goal, frame, then)
        elif isinstance(goal, NumberGoal):
            meet = _number(goal, then)
        else:
            meet = self._required(goal, frame, then)
        return _counted(meet) if self._listening else meet

    def _bind(self, goal: BindGoal, frame: Frame, then: _Then) -> _Meet:
        bind, slot, fits = goal.bind, frame.slot(goal.bind.name), _constraint(goal.bind, frame)
        given, optional, span = goal.statement, goal.bind.optional, goal.bind.span
        defined = self._call(given, frame, then, goal.index) if given is not None else None

        def meet(search: Search, value: Value | None) -> None:
            if value is None and not optional:
                return search.miss(span, reasons.absent, bind.name)
            mark = len(search.trail)
            if fits is None or fits(search, value):
                if defined is not None and value is not None and slot not in search.bound:
                    defined(search, value)
                elif search.bind(slot, value, span):
                    then(search)
            search.undo(mark)

        return meet

    def _required(self, goal: CallGoal, frame: Frame, then: _Then) -> _Meet:
        call, wanted = self._call(goal, frame, then), reasons.head(goal)

        def meet(search: Search, value: Value | None) -> None:
            if value is None:
                search.miss(goal.call.span, reasons.absent, wanted)
            else:
                call(search, value)

        return meet

    def _call(self, goal: CallGoal, frame: Frame, then: _Then, index: int = 0) -> _Attempt:
        """Meets a call by the value that is its output number `index`."""
        place = self._place(goal, frame, then)
        operator = _operator(goal, frame, place, index, None if self._listening else _glance(goal))
        spelled = [(p.root.roots, self._spelling(goal, frame, p, place)) for p in goal.spellings]
        always = [self._stand_in(goal, frame, then)] if goal.call.maybe else []

        def attempts(op: str | None) -> tuple[_Attempt, ...]:
            if not goal.roots.admit(op):
                return (*always, _refusal(goal))
            direct = [operator] if op in goal.direct else []
            return (*always, *direct, *(s for roots, s in spelled if roots.admit(op)))

        by_operator = {op: attempts(op) for op in goal.roots.ops}
        others = attempts(None)

        def call(search: Search, value: Value) -> None:
            op = None if value.producer is None else value.producer.op
            for attempt in by_operator.get(op, others):  # type: ignore[arg-type]
                attempt(search, value)

        return call

    def _stand_in(self, goal: CallGoal, frame: Frame, then: _Then) -> _Attempt:
        """`maybe op(a)`, not taken: the value is that of `a`."""
        meet = self._goal(goal.operands[0], frame, then)
        slots = [frame.slot(name) for name in goal.targets[:1]]

        def stand_in(search: Search, value: Value) -> None:
            mark = len(search.trail)
            if all(search.bind(slot, value, goal.call.span) for slot in slots):
                meet(search, value)
            search.undo(mark)

        return stand_in

    # -- operands --------------------------------------------------------------------------------

    def _place(self, goal: CallGoal, frame: Frame, then: _Then) -> _Place:
        """Meets a goal for each operand, those first that are cheap to decide."""
        call, count, named = goal.call, len(goal.operands), Slot("operands")
        absent = (None,) * count
        rest = frame.slot(call.rest) if call.rest is not None else None
        for index in reversed(goal.cheap_first):
            then = _of_operand(named, index, self._goal(goal.operands[index], frame, then))
        closed, is_root = not call.open and call.rest is None, goal is frame.plan.root

        def place(
            search: Search,
            value: Value,
            nodes: tuple[Node, ...],
            operands: tuple[Value | None, ...],
        ) -> None:
            extra = operands[count:]
            while extra and extra[-1] is None:
                extra = extra[:-1]
            if extra and closed:
                return search.miss(call.span, reasons.unnamed_operand, value, extra[-1])
            given = (*operands[:count], *absent[len(operands) :])
            if is_root:
                search.bound[frame.leftover] = extra
            mark = len(search.trail)
            if rest is None or search.bind(rest, extra, call.span):
                search.bound[named] = given
                search.steps.append((frame, goal, Matched(call, value, given, nodes)))
                then(search)
                search.steps.pop()
            if rest is not None:
                search.undo(mark)

        return place

    # -- spellings -------------------------------------------------------------------------------

    def _spelling(self, goal: CallGoal, frame: Frame, plan: SearchPlan, place: _Place) -> _Attempt:
        inner, around = Frame(plan, frame), _tries_of(plan, frame)
        for name in plan.names:
            inner.slot(name)
        finish = _finish(goal, frame, inner, place)
        then = _counted_on(finish) if self._listening else finish
        made: list[_Attempt] = []

        def spelling(search: Search, value: Value) -> None:
            bound = search.bound
            if any(bound.get(slot) is value for slot in around):
                return  # it is already being tried at that value
            if frame.depth >= DEEPEST:
                raise PatternError(
                    f"spellings of {plan.decl.name!r} stand more than {DEEPEST} deep in each other",
                    span=plan.decl.span,
                    hint="a spelling must not contain itself",
                )
            if not made:
                made.append(self._call(plan.root, inner, then))
            bound[inner.at], bound[inner.start] = value, len(search.steps)
            bound[inner.leftover] = ()
            made[0](search, value)
            del bound[inner.at]

        return spelling


def _counted(meet: _Meet) -> _Meet:
    def counted(search: Search, value: Value | None) -> None:
        search.met += 1
        meet(search, value)
        search.met -= 1

    return counted


def _counted_on(then: _Then) -> _Then:
    def counted(search: Search) -> None:
        search.met += 1
        then(search)
        search.met -= 1

    return counted


def _number(goal: NumberGoal, then: _Then) -> _Meet:
    number = goal.number

    def meet(search: Search, value: Value | None) -> None:
        if value is not None and filled_with(value, number.value, search.table):
            then(search)
        else:
            search.miss(number.span, reasons.not_number, value, number.value)

    return meet


def _of_operand(named: Slot, index: int, meet: _Meet) -> _Then:
    return lambda search: meet(search, search.bound[named][index])


def _refusal(goal: CallGoal) -> _Attempt:
    span, wanted = goal.call.span, reasons.head(goal)
    return lambda search, value: search.miss(span, reasons.not_from, value, wanted)


def _glance(goal: CallGoal) -> _Glance:
    """Whether a call may be met by an operator, as far as its operands tell at once: nothing is
    bound, nor is a reason given.  Of operands that commute nothing is told."""
    looks = [(i, look) for i, o in enumerate(goal.operands) if (look := _look(o)) is not None]
    ordered = goal.call.ordered

    def glance(node: Node, table: OperatorTable) -> bool:
        row = table.get(node.op)
        if row is not None and row.commutes and not ordered:
            return True
        operands = operands_of(node)
        count = len(operands)
        return all(look(operands[i] if i < count else None, table) for i, look in looks)

    return glance


def _look(goal: Goal) -> Callable[[Value | None, OperatorTable], bool] | None:
    """What `_glance` asks of one operand; None where it may be anything."""
    if isinstance(goal, NumberGoal):
        return lambda value, table: value is not None
    call = goal.statement if isinstance(goal, BindGoal) else goal
    if call is not None:
        optional, roots = isinstance(goal, BindGoal) and goal.bind.optional, call.roots
        return lambda value, table: (
            optional
            if value is None
            else roots.admit(None if value.producer is None else value.producer.op)
        )
    assert isinstance(goal, BindGoal)
    wanted, optional = goal.bind.constraint, goal.bind.optional
    dtypes, const = (wanted.dtypes, wanted.const) if wanted is not None else ((), False)
    if optional and not dtypes and not const:
        return None
    return lambda value, table: (
        optional
        if value is None
        else (not dtypes or value.type.dtype in dtypes) and (not const or is_constant(value, table))
    )


def _operator(
    goal: CallGoal, frame: Frame, place: _Place, index: int, glance: _Glance | None
) -> _Attempt:
    """Meets a call by an operator that it names."""
    call, slots = goal.call, [frame.slot(name) for name in goal.targets]
    attributes = [_attribute(a, frame) for a in call.attributes]

    def operator(search: Search, value: Value) -> None:
        node = value.producer
        if node is None or value.index != index:
            return
        if glance is not None and not glance(node, search.table):
            return
        if len(slots) > 1 and len(slots) != len(node.outputs):
            return search.miss(call.span, reasons.outputs, node, len(slots))
        mark, nodes = len(search.trail), (node,)
        outputs = node.outputs if len(slots) > 1 else (value,)
        for slot, output in zip(slots, outputs, strict=False):
            if not search.bind(slot, output, call.span):
                return search.undo(mark)
        for has in attributes:
            if not has(search, nodes):
                return search.undo(mark)
        row = search.table.get(node.op)
        for operands in operand_orders(operands_of(node), row, call.ordered):
            place(search, value, nodes, operands)
        search.undo(mark)

    return operator


def _finish(goal: CallGoal, frame: Frame, inner: Frame, place: _Place) -> _Then:
    """Behind the block of a spelling: checks its own word, then the operands of the call."""
    plan, call = inner.plan, goal.call
    parameters = [(inner.slot(p.name), _constraint(p, inner)) for p in plan.parameters]
    targets = [frame.slot(name) for name in goal.targets[:1]]
    attributes = [_attribute(a, frame) for a in call.attributes]
    open_ = getattr(plan.decl, "open", False)

    def finish(search: Search) -> None:
        bound = search.bound
        value, nodes = bound[inner.at], search.nodes(bound[inner.start])
        mark = len(search.trail)
        terms = [None if slot is None else bound.get(slot) for slot, _ in parameters]
        operands = tuple(t if isinstance(t, Value) else None for t in terms)
        given = zip(parameters, operands, strict=True)
        if (
            all(fits is None or fits(search, v) for (_, fits), v in given)
            and search.holds(inner, nodes)
            and all(search.bind(slot, value, call.span) for slot in targets)
            and all(has(search, nodes) for has in attributes)
        ):
            rest = bound[inner.leftover] if open_ else ()
            row = search.table.get(plan.decl.name)
            for order in operand_orders(operands + rest, row, call.ordered):
                place(search, value, nodes, order)
        search.undo(mark)

    return finish


def _tries_of(plan: SearchPlan, frame: Frame | None) -> list[Slot]:
    """Where the values stand that a spelling is tried at already."""
    found = []
    while frame is not None:
        if frame.plan is plan:
            found.append(frame.at)
        frame = frame.parent
    return found


def _constraint(bind: Bind, frame: Frame) -> _Test | None:
    """Whether a value is what a name may stand for; None where it may stand for any."""
    wanted = bind.constraint
    if wanted is None:
        return None
    span = bind.span

    def fits(search: Search, value: Value | None) -> bool:
        if value is None:
            return True
        if wanted.const and not is_constant(value, search.table):
            search.miss(span, reasons.not_constant, value, bind.name)
            return False
        if wanted.dtypes and value.type.dtype not in wanted.dtypes:
            search.miss(span, reasons.wrong_dtype, value, wanted.dtypes)
            return False
        sizes = match_dims(wanted.dims, value.shape)
        if sizes is None:
            search.miss(span, reasons.wrong_shape, value, wanted.dims)
            return False
        return all(search.bind(frame.slot(name), size, span) for name, size in sizes)

    return fits


def _attribute(pattern: AttributePattern, frame: Frame) -> Callable[[Search, Sequence[Node]], bool]:
    """Whether the operators of a call have an attribute."""
    name, span = pattern.name, pattern.span
    slot = frame.slot(pattern.bind) if pattern.bind is not None else None

    def has(search: Search, nodes: Sequence[Node]) -> bool:
        owner = next((n for n in nodes if name in n.attributes), None)
        if pattern.bind is not None and owner is not None:
            return search.bind(slot, owner.attributes[name], span)
        found = owner.attributes[name] if owner is not None else None
        if pattern.bind is None and attributes_equal(found, pattern.literal):
            return True
        search.miss(span, reasons.wrong_attribute, nodes, pattern, found)
        return False

    return has
