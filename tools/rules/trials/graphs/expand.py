"""One way in which a match block can be met, as operators to be built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sparqc.errors import SparqcError
from sparqc.ir.graph import Attribute, Value
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.operator import Operator
from sparqc.lang.ast import (
    AttributePattern,
    Bind,
    CallPattern,
    Constraint,
    Declaration,
    MatchStatement,
    Number,
    OpDecl,
)
from sparqc.match.rulebook import RuleBook
from sparqc.tools.rules.trials.graphs.drawn import DrawnGenerator
from sparqc.tools.rules.trials.graphs.hints import Hints, hints_of

#: Spellings stand in spellings no deeper than this.
_DEEPEST = 6
#: How often an operator stands as itself where it has other spellings.
_ITSELF = 0.6
#: How often something is drawn that conditions ask for.
_AS_WANTED = 0.8


class Unplanned(SparqcError):
    """A block of which no instance can be made: it names an operator without a sample."""


@dataclass(eq=False)
class Leaf:
    """A value that the block does not define."""

    constraint: Constraint = field(default_factory=Constraint)
    #: The literal that stands in its place.
    number: int | float | bool | None = None
    #: What conditions want of it.
    rank: int | None = None
    dtypes: tuple[str, ...] = ()
    filled: float | None = None
    computed: bool = False
    value: Value | None = None

    def ask(self, constraint: Constraint | None) -> None:
        """Let it meet one more constraint."""
        if constraint is not None:
            mine = self.constraint
            self.constraint = Constraint(
                mine.const or constraint.const,
                constraint.dtypes or mine.dtypes,
                mine.dims if constraint.dims is None else constraint.dims,
            )


@dataclass(eq=False)
class Step:
    """An operator to build."""

    row: Operator
    operands: dict[str, Source | tuple[Source, ...] | None]
    #: Operands that the pattern leaves open.
    free: tuple[str, ...]
    attributes: dict[str, Attribute]
    #: Attribute -> the name that it is bound to, unique to its block, and values that conditions
    #: ask the name for.
    names: dict[str, tuple[int, str]]
    wanted: dict[str, tuple[Attribute, ...]]
    count: int = 1
    outputs: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Output:
    """A result of an operator."""

    step: Step
    index: int = 0


Source = Leaf | Output


@dataclass
class Block:
    """The statements of a declaration, as far as they are expanded."""

    decl: Declaration
    #: What a name stands for; None: absent.
    names: dict[str, Source | None] = field(default_factory=dict)
    hints: Hints = field(default_factory=Hints)

    def definition(self, name: str) -> tuple[MatchStatement, int] | None:
        """The statement that defines a name, and the number of the result."""
        for statement in self.decl.match:
            if name in statement.targets:
                return statement, statement.targets.index(name)
        return None


class Expansion:
    """Chooses operators, operand orders, what is absent, and spellings."""

    def __init__(
        self, random: DrawnGenerator, book: RuleBook, level: Level, target: str | None
    ) -> None:
        self.random, self.book, self.level, self.target = random, book, level, target
        #: Each behind those that it reads.
        self.steps: list[Step] = []
        self.depth = 0

    def expand(self, decl: Declaration) -> Block:
        """All statements of a declaration; raises Unplanned."""
        block = Block(decl, hints=hints_of(decl.where))
        for statement in decl.match:
            self.named(statement.targets[0], block)
        return block

    # -- values ----------------------------------------------------------------------------------

    def named(self, name: str, block: Block) -> Source | None:
        """What a name stands for."""
        if name in block.names:
            return block.names[name]
        defined = block.definition(name)
        if defined is None:
            like = [block.names[a] for a, b in block.hints.alike if b == name and a in block.names]
            same = like and self.random.chance(_AS_WANTED)
            block.names[name] = like[0] if same else self.leaf(name, block.hints)
            return block.names[name]
        statement, index = defined
        found = self.call(statement.call, block, len(statement.targets))
        for position, target in enumerate(statement.targets):
            if isinstance(found, Output) and not index:
                block.names.setdefault(target, replace(found, index=position))
            else:
                block.names.setdefault(target, found)
        return block.names[name]

    def leaf(self, name: str, hints: Hints) -> Leaf:
        """A value as the conditions want it, mostly."""
        leaf = Leaf()
        if name in hints.ranks and self.random.chance(_AS_WANTED):
            leaf.rank = self.random.choice(hints.ranks[name])
        if name in hints.dtypes and self.random.chance(_AS_WANTED):
            leaf.dtypes = tuple(hints.dtypes[name])
        if name in hints.numbers and self.random.chance(_AS_WANTED):
            leaf.filled = self.random.choice(hints.numbers[name])
        leaf.computed = name in hints.computed and self.random.chance(_AS_WANTED)
        return leaf

    def operand(
        self, operand: Bind | Number | CallPattern, block: Block, absent: bool
    ) -> Source | None:
        """What stands in an operand slot; None where it is absent, which it may only be where the
        operator takes that."""
        if isinstance(operand, Number):
            return Leaf(number=operand.value)
        if isinstance(operand, CallPattern):
            return self.call(operand, block, 1)
        if operand.name == "_":
            leaf = Leaf()
            leaf.ask(operand.constraint)
            return leaf
        known = operand.name in block.names
        if operand.optional and absent and not known and self.random.chance(0.5):
            block.names[operand.name] = None
        found = self.named(operand.name, block)
        if isinstance(found, Leaf):
            found.ask(operand.constraint)
        return found

    # -- operators -------------------------------------------------------------------------------

    def call(self, call: CallPattern, block: Block, count: int) -> Source | None:
        """The value of a call."""
        if call.maybe and self.random.chance(0.5):
            return self.operand(call.operands[0], block, absent=False)
        heads = [h for h in call.heads if self.ways(h, call)]
        if not heads:
            raise Unplanned(f"no instance can be made of {' or '.join(call.heads)}")
        way = self.random.choice(self.ways(self.random.choice(heads), call))
        if isinstance(way, OpDecl):
            return self.spelled(way, call, block)
        return self.step(way, call, block, count)

    def ways(self, head: str, call: CallPattern) -> list[Operator | OpDecl]:
        """The operator of that name, and its spellings."""
        row = self.book.table.get(head)
        found = self.book.spellings(head, self.level, self.target)
        fitting = [d for d in found if _takes(d, call) and self.depth < _DEEPEST]
        if row is None or row.form(self.level) is None or row.sample is None:
            return list(fitting)
        if fitting and not self.random.chance(_ITSELF):
            return list(fitting)
        return [row]

    def spelled(self, decl: OpDecl, call: CallPattern, block: Block) -> Source | None:
        """What a spelling stands for, with the operands of a call."""
        if not decl.parameters:  # a trait: each of its operators as the call has it
            return self.call(replace(call, heads=decl.match[0].call.heads), block, 1)
        inner = Block(decl)
        for position, parameter in enumerate(decl.parameters):
            if position < len(call.operands):
                given = self.operand(call.operands[position], block, parameter.optional)
            else:
                given = None if parameter.optional else Leaf()
            if isinstance(given, Leaf):
                given.ask(parameter.constraint)
            inner.names[parameter.name] = given
        for operand in call.operands[len(decl.parameters) :]:
            if isinstance(operand, Bind):
                block.names.setdefault(operand.name, None)
        self.depth += 1
        root = root_of(decl)
        found = self.named(root, inner)
        self.depth -= 1
        return found

    def step(self, row: Operator, call: CallPattern, block: Block, count: int) -> Output:
        """An operator of the table, each operand by its place."""
        operands: dict[str, Source | tuple[Source, ...] | None] = {}
        given = list(call.operands)
        for spec in row.operands:
            if spec.variadic:
                found = [self.operand(o, block, absent=False) for o in given]
                if call.rest or call.open or not found:
                    found += [Leaf() for _ in range(self.random.integers(1, 4))]
                operands[spec.name] = tuple(s for s in found if s is not None)
                given = []
            elif given:
                operands[spec.name] = self.operand(given.pop(0), block, spec.optional)
            elif not call.open and not call.rest:
                operands[spec.name] = None
        if given:
            raise Unplanned(f"{row.name} takes fewer operands than the block names")
        free = tuple(o.name for o in row.operands if o.name not in operands)
        for a, b in row.commutes:
            if not call.ordered and a in operands and b in operands and self.random.chance(0.5):
                operands[a], operands[b] = operands[b], operands[a]
        step = Step(row, operands, free, *self.attributes(call, block))
        fixed = not any(name.endswith("*") for name in row.outputs)
        step.count = len(row.outputs) if fixed else max(count, 1)
        self.steps.append(step)
        return Output(step)

    def attributes(
        self, call: CallPattern, block: Block
    ) -> tuple[dict[str, Attribute], dict[str, tuple[int, str]], dict[str, tuple[Attribute, ...]]]:
        """Literals, names, and what conditions want of these."""
        literals = [a for a in call.attributes if a.bind is None]
        bound: list[AttributePattern] = [a for a in call.attributes if a.bind not in (None, "_")]
        names = {a.name: (id(block), str(a.bind)) for a in bound}
        wanted = {a.name: tuple(block.hints.values.get(str(a.bind), ())) for a in bound}
        return {a.name: a.literal for a in literals}, names, wanted


def _takes(decl: OpDecl, call: CallPattern) -> bool:
    """Whether a spelling has a place for each operand that has to be there."""
    if not decl.parameters:
        return True
    extra = call.operands[len(decl.parameters) :]
    fits = decl.open or all(isinstance(o, Bind) and o.optional for o in extra)
    missing = decl.parameters[len(call.operands) :]
    return fits and (call.open or all(p.optional for p in missing))


def root_of(decl: Declaration) -> str:
    """The name of the value that nothing else in a block reads."""
    read = {name for s in decl.match for name in _read(s.call)}
    return next(s.targets[0] for s in decl.match if not read.intersection(s.targets))


def _read(call: CallPattern) -> Iterator[str]:
    for operand in call.operands:
        if isinstance(operand, Bind):
            yield operand.name
        elif isinstance(operand, CallPattern):
            yield from _read(operand)
