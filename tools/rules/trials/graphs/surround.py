"""What stands around a match: readers, outputs, and what conditions look for behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sparqc.ir.graph import Graph, Node, TensorType, Value
from sparqc.ir.levels.infer import infer_types
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.lang.ast import Binary, Bind, CallPattern, Expr, Name, OpDecl, Path, Unary
from sparqc.tools.rules.trials.graphs.build import Builder, Unfit
from sparqc.tools.rules.trials.graphs.drawn import DrawnGenerator
from sparqc.tools.rules.trials.graphs.expand import (
    Block,
    Expansion,
    Leaf,
    Output,
    Source,
    Step,
    root_of,
)

_FLOATS = ("f16", "f32", "f64", "bf16")
#: Operators that may read anything of floats.
_READERS = ("nn.relu", "nn.neg", "nn.sigmoid", "nn.abs")


def steps_behind(expansion: Expansion, block: Block) -> None:
    """Add what the paths of a declaration's conditions lead to, behind the values they start at."""
    for path in (p for c in block.decl.where for p in _paths(c.expr)):
        if isinstance(path.of, Name) and not path.comes_from and expansion.random.chance(0.85):
            kinds = [k for k in path.kinds if k != "output"]
            start = block.names.get(path.of.id)
            if kinds and isinstance(start, Output):
                _behind(expansion, expansion.random.choice(kinds), start)


def _behind(expansion: Expansion, kind: str, start: Output) -> None:
    """An operator, or what a family stands for, that reads a value."""
    book, random = expansion.book, expansion.random
    row = book.table.get(kind)
    if row is not None and row.sample is not None and row.form(expansion.level) is not None:
        first, *others = row.operands
        operands = {o.name: None if o.optional else Leaf() for o in others}
        expansion.steps.append(Step(row, {first.name: start, **operands}, (), {}, {}, {}))
        return
    spellings = book.spellings(kind, expansion.level, expansion.target)
    if spellings:
        decl: OpDecl = random.choice(spellings)
        inner = Block(decl)
        if not decl.parameters:
            call = CallPattern(decl.match[0].call.heads, (Bind("value"),), open=True)
            expansion.call(call, Block(decl, {"value": start}), 1)
            return
        for parameter in decl.parameters:
            inner.names[parameter.name] = start if parameter is decl.parameters[0] else Leaf()
        for statement in decl.match:
            expansion.named(statement.targets[0], inner)


def _paths(expr: Expr) -> Iterator[Path]:
    if isinstance(expr, Path):
        yield expr
    elif isinstance(expr, Binary):
        yield from _paths(expr.left)
        yield from _paths(expr.right)
    elif isinstance(expr, Unary):
        yield from _paths(expr.operand)


def add_readers(builder: Builder, block: Block) -> None:
    """Let the graph have outputs: what nothing reads, at times behind a reader, or several, and at
    times what is read inside of the match."""
    graph, random, table = builder.graph, builder.random, builder.table
    roots = _values(block.names[root_of(block.decl)])
    for name in sorted(block.hints.shared):
        for value in _values(block.names.get(name)):
            if random.chance(0.8):
                read(graph, value, random, table)
    if random.chance(0.12):
        inside = [v for n in graph.nodes for v in n.outputs if v not in roots]
        value = random.choice([*inside, *graph.constants, *graph.inputs, *roots])
        read(graph, value, random, table)
    outputs: list[Value] = []
    if random.chance(0.1):
        outputs.append(random.choice([v for n in graph.nodes for v in n.outputs]))
    for root in roots:
        known = root.reader_count and random.chance(0.7)
        for _ in range(0 if known else random.choice([0, 1, 1, 2])):
            read(graph, root, random, table)
    outputs += [v for n in graph.nodes for v in n.outputs if not v.reader_count]
    if random.chance(0.2):
        outputs += roots
    graph.set_outputs(list(dict.fromkeys(outputs)))


def _values(source: Source | None) -> Sequence[Value]:
    if isinstance(source, Output):
        return source.step.outputs
    return [source.value] if source is not None and source.value is not None else []


def read(graph: Graph, value: Value, random: DrawnGenerator, table: OperatorTable) -> Node:
    """An operator of its own that reads a value."""
    if value.type.dtype in _FLOATS:
        node = graph.create(random.choice(_READERS), {"x": value}, types=[TensorType()])
    else:
        node = graph.create("nn.cast", {"x": value}, {"to": "f32"}, types=[TensorType()])
    infer_types(graph, node, table)
    if node.output.type.dtype == "?":
        raise Unfit
    return node
