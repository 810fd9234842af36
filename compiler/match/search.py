"""The search for all matches of a plan at one node: complete backtracking.

A path of the search is a stack of goals yet to be met, as a linked list of `Todo`.  Each choice
(operand order, `maybe`, the spellings of a head) is tried in turn; what a path has bound is undone
when it is left.  Nothing is decided by the order in which paths are tried: `sparqc.match.match`
sorts what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sparqc.errors import PatternError, Span
from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Node, Value
from sparqc.lang.ast import AttributePattern, Bind
from sparqc.match import reasons
from sparqc.match.constraints import filled_with, match_dims
from sparqc.match.evaluate import Environment, failing
from sparqc.match.operand_orders import operand_orders, operands_of
from sparqc.match.result import Match, Matched
from sparqc.match.search_plan import BindGoal, CallGoal, Goal, NumberGoal, SearchPlan
from sparqc.match.terms import Term, attributes_equal, same

#: How deep spellings may stand inside spellings; deeper ones are taken for endless.
DEEPEST = 30
_ABSENT = object()


@dataclass(eq=False)
class _Frame:
    """The names of one block: of the declaration, or of a spelling inside it."""

    plan: SearchPlan
    parent: _Frame | None = None
    at: Value | None = None
    bindings: dict[str, Term] = field(default_factory=dict)
    #: Operands of the root operator that the block leaves open.
    leftover: tuple[Value | None, ...] = ()

    def contains(self, plan: SearchPlan, value: Value) -> bool:
        """Whether that spelling is already being tried at that value."""
        frame: _Frame | None = self
        while frame is not None:
            if frame.plan is plan and frame.at is value:
                return True
            frame = frame.parent
        return False

    @property
    def depth(self) -> int:
        """How many blocks this one stands in."""
        return 0 if self.parent is None else 1 + self.parent.depth


@dataclass(slots=True, eq=False)
class _Finish:
    """A goal behind those of a spelling: with its root found, the operands of the call follow."""

    goal: CallGoal
    inner: _Frame
    start: int  # how many steps there were before


#: A goal, the block it belongs to, the value it meets, and the goals behind it.
Todo = tuple[Goal | _Finish, _Frame, Value | None, "Todo"] | None
#: Told of each dead end: how far the path was, its reason, and the line of the pattern.
Listener = Callable[[int, str, Span | None], None]


class Search:
    """One search; `found` holds the matches after `run`, in no particular order."""

    def __init__(
        self,
        plan: SearchPlan,
        node: Node,
        environment: Environment,
        listener: Listener | None = None,
    ) -> None:
        self.plan, self.node = plan, node
        self.environment, self.table = environment, environment.table
        self.found: list[Match] = []
        self._listener = listener
        self._frame = _Frame(plan)
        self._trail: list[tuple[dict[str, Term], str]] = []
        self._steps: list[tuple[_Frame, CallGoal, Matched]] = []
        self._met = 0

    def run(self) -> list[Match]:
        """Every match with the operator of the node at its root."""
        for value in self.node.outputs:
            self._call(self.plan.root, self._frame, value, None)
        return self.found

    # -- walking the goals -----------------------------------------------------------------------

    def _solve(self, todo: Todo) -> None:
        if todo is None:
            return self._accept()
        goal, frame, value, rest = todo
        self._met += 1
        if isinstance(goal, BindGoal):
            self._bind_goal(goal, frame, value, rest)
        elif isinstance(goal, NumberGoal):
            self._number(goal, frame, value, rest)
        elif isinstance(goal, _Finish):
            self._finish(goal, frame, value, rest)
        elif value is None:
            self._miss(goal.call.span, reasons.absent, reasons.head(goal))
        else:
            self._call(goal, frame, value, rest)
        self._met -= 1

    def _bind_goal(self, goal: BindGoal, frame: _Frame, value: Value | None, rest: Todo) -> None:
        bind = goal.bind
        mark = len(self._trail)
        if value is None and not bind.optional:
            return self._miss(bind.span, reasons.absent, bind.name)
        if self._constrained(bind, frame, value):
            if goal.statement is None or bind.name in frame.bindings or value is None:
                if self._bind(frame, bind.name, value, bind.span):
                    self._solve(rest)
            else:
                self._call(goal.statement, frame, value, rest, goal.index)
        self._undo(mark)

    def _number(self, goal: NumberGoal, frame: _Frame, value: Value | None, rest: Todo) -> None:
        if value is not None and filled_with(value, goal.number.value, self.table):
            self._solve(rest)
        else:
            self._miss(goal.number.span, reasons.not_number, value, goal.number.value)

    def _call(
        self, goal: CallGoal, frame: _Frame, value: Value, rest: Todo, index: int = 0
    ) -> None:
        """Meet a call by the value that is its output number `index`."""
        if goal.call.maybe:
            self._stand_in(goal, frame, value, rest)
        node = value.producer
        op = None if node is None else node.op
        if not goal.roots.admit(op):
            return self._miss(goal.call.span, reasons.not_from, value, reasons.head(goal))
        if node is not None and op in goal.direct and value.index == index:
            self._operator(goal, frame, value, node, rest)
        for plan in goal.spellings:
            if plan.root.roots.admit(op) and not frame.contains(plan, value):
                self._spelling(goal, frame, value, plan, rest)

    def _stand_in(self, goal: CallGoal, frame: _Frame, value: Value, rest: Todo) -> None:
        """`maybe op(a)`, not taken: the value is that of `a`."""
        mark = len(self._trail)
        if all(self._bind(frame, t, value, goal.call.span) for t in goal.targets[:1]):
            self._solve((goal.operands[0], frame, value, rest))
        self._undo(mark)

    def _operator(
        self, goal: CallGoal, frame: _Frame, value: Value, node: Node, rest: Todo
    ) -> None:
        span, targets = goal.call.span, goal.targets
        if len(targets) > 1 and len(targets) != len(node.outputs):
            return self._miss(span, reasons.outputs, node, len(targets))
        mark = len(self._trail)
        bound = zip(targets, node.outputs if len(targets) > 1 else (value,), strict=False)
        if all(self._bind(frame, name, output, span) for name, output in bound) and all(
            self._attribute(frame, a, (node,)) for a in goal.call.attributes
        ):
            for operands in self._arrangements(goal, node):
                self._operands(goal, frame, value, (node,), operands, rest)
        self._undo(mark)

    def _operands(
        self,
        goal: CallGoal,
        frame: _Frame,
        value: Value,
        nodes: tuple[Node, ...],
        operands: tuple[Value | None, ...],
        rest: Todo,
    ) -> None:
        """Push a goal for each operand, those first that are cheap to decide."""
        call, count = goal.call, len(goal.operands)
        extra = operands[count:]
        while extra and extra[-1] is None:
            extra = extra[:-1]
        if extra and not call.open and call.rest is None:
            return self._miss(call.span, reasons.unnamed_operand, value, extra[-1])
        mark = len(self._trail)
        if call.rest is None or self._bind(frame, call.rest, extra, call.span):
            if goal is frame.plan.root:
                frame.leftover = extra
            named = (*operands[:count], *[None] * (count - len(operands)))
            todo = rest
            for index in reversed(goal.cheap_first):
                todo = (goal.operands[index], frame, named[index], todo)
            self._steps.append((frame, goal, Matched(call, value, named, nodes)))
            self._solve(todo)
            self._steps.pop()
        self._undo(mark)

    # -- spellings -------------------------------------------------------------------------------

    def _spelling(
        self, goal: CallGoal, frame: _Frame, value: Value, plan: SearchPlan, rest: Todo
    ) -> None:
        if frame.depth >= DEEPEST:
            raise PatternError(
                f"spellings of {plan.decl.name!r} stand more than {DEEPEST} deep in each other",
                span=plan.decl.span,
                hint="a spelling must not contain itself",
            )
        inner = _Frame(plan, frame, value)
        finish = _Finish(goal, inner, len(self._steps))
        self._call(plan.root, inner, value, (finish, frame, value, rest))

    def _finish(self, goal: _Finish, frame: _Frame, value: Value | None, rest: Todo) -> None:
        """The block of the spelling is met: check its own word, then the operands of the call."""
        assert value is not None
        inner, call = goal.inner, goal.goal
        mark = len(self._trail)
        nodes = self._nodes(goal.start)
        if (
            all(self._parameter(p, inner) for p in inner.plan.parameters)
            and self._holds(inner, nodes)
            and all(self._bind(frame, t, value, call.call.span) for t in call.targets[:1])
            and all(self._attribute(frame, a, nodes) for a in call.call.attributes)
        ):
            for operands in self._parameters(call, inner):
                self._operands(call, frame, value, nodes, operands, rest)
        self._undo(mark)

    def _parameter(self, bind: Bind, frame: _Frame) -> bool:
        value = frame.bindings.get(bind.name)
        given = value if isinstance(value, Value) else None
        return self._constrained(bind, frame, given)

    def _holds(self, frame: _Frame, nodes: tuple[Node, ...]) -> bool:
        decl = frame.plan.decl
        if not decl.where:
            return True
        failed = failing(decl.where, self._match(frame, self.node, nodes), self.environment)
        if failed is not None:
            self._miss(failed[0].span, reasons.plain, f"no {decl.name}: {failed[1]}")
        return failed is None

    # -- operand order ---------------------------------------------------------------------------

    def _arrangements(self, goal: CallGoal, node: Node) -> Iterator[tuple[Value | None, ...]]:
        """The operands in every order that means the same."""
        row = self.table.get(node.op)
        return operand_orders(operands_of(node), row, goal.call.ordered)

    def _parameters(self, goal: CallGoal, inner: _Frame) -> Iterator[tuple[Value | None, ...]]:
        """What a call gets from a spelling: its parameters, then what the spelling leaves open."""
        given = tuple(inner.bindings.get(p.name) for p in inner.plan.parameters)
        operands = tuple(v if isinstance(v, Value) else None for v in given)
        operator = self.table.get(inner.plan.decl.name)
        open_ = getattr(inner.plan.decl, "open", False)
        rest = inner.leftover if open_ else ()
        return operand_orders(operands + rest, operator, goal.call.ordered)

    # -- binding ---------------------------------------------------------------------------------

    def _bind(self, frame: _Frame, name: str, term: Term, span: Span | None) -> bool:
        if name == "_":
            return True
        known = frame.bindings.get(name, _ABSENT)
        if known is _ABSENT:
            frame.bindings[name] = term
            self._trail.append((frame.bindings, name))
            return True
        if same(known, term):  # type: ignore[arg-type]
            return True
        self._miss(span, reasons.two_terms, name, known, term)
        return False

    def _undo(self, mark: int) -> None:
        while len(self._trail) > mark:
            bindings, name = self._trail.pop()
            del bindings[name]

    def _constrained(self, bind: Bind, frame: _Frame, value: Value | None) -> bool:
        wanted = bind.constraint
        if wanted is None or value is None:
            return True
        if wanted.const and not is_constant(value, self.table):
            self._miss(bind.span, reasons.not_constant, value, bind.name)
            return False
        if wanted.dtypes and value.type.dtype not in wanted.dtypes:
            self._miss(bind.span, reasons.wrong_dtype, value, wanted.dtypes)
            return False
        sizes = match_dims(wanted.dims, value.shape)
        if sizes is None:
            self._miss(bind.span, reasons.wrong_shape, value, wanted.dims)
            return False
        return all(self._bind(frame, name, size, bind.span) for name, size in sizes)

    def _attribute(self, frame: _Frame, pattern: AttributePattern, nodes: Sequence[Node]) -> bool:
        owner = next((n for n in nodes if pattern.name in n.attributes), None)
        if pattern.bind is not None and owner is not None:
            term = owner.attributes[pattern.name]
            return self._bind(frame, pattern.bind, term, pattern.span)
        found = owner.attributes[pattern.name] if owner is not None else None
        if pattern.bind is None and attributes_equal(found, pattern.literal):
            return True
        self._miss(pattern.span, reasons.wrong_attribute, nodes, pattern, found)
        return False

    # -- the end of a path -----------------------------------------------------------------------

    def _accept(self) -> None:
        nodes = self._nodes(0)
        if not nodes or nodes[0] is not self.node:
            return  # every `maybe` was left out
        if (value := self._read_outside(nodes)) is not None:
            self._miss(self.plan.decl.span, reasons.read_outside, value, nodes)
        else:
            self.found.append(self._match(self._frame, self.node, nodes))

    def _nodes(self, start: int) -> tuple[Node, ...]:
        """The operators of the steps since `start`, each once, in the order of the pattern."""
        return tuple(dict.fromkeys(n for _, _, m in self._steps[start:] for n in m.nodes))

    def _read_outside(self, nodes: Sequence[Node]) -> Value | None:
        """A value inside the match that something outside reads."""
        inside = set(nodes)
        exempt = {m.nodes[0] for _, goal, m in self._steps if goal.shared and m.nodes}
        for node in nodes[1:]:
            for value in node.outputs if node not in exempt else ():
                # More readers than matched operators: no need to look at thousands of them.
                if value.is_output or value.reader_count > len(inside):
                    return value
                if not inside.issuperset(value.readers):
                    return value
        return None

    def _match(self, frame: _Frame, root: Node, nodes: tuple[Node, ...]) -> Match:
        bindings: Mapping[str, Term] = {n: frame.bindings.get(n) for n in frame.plan.names}
        calls = tuple(m for owner, _, m in self._steps if owner is frame)
        return Match(frame.plan.decl, root, nodes, bindings, calls)

    def _miss(self, span: Span | None, say: Callable[..., str], *arguments: object) -> None:
        if self._listener is not None:
            self._listener(self._met, say(*arguments), span)
