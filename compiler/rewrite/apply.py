"""Applying a rule to a match: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparqc.errors import PatternError
from sparqc.ir.graph import Graph, Node, TensorType, Value
from sparqc.ir.weighted import weight_of
from sparqc.lang.ast import RuleDecl
from sparqc.match.evaluate import Environment
from sparqc.match.result import Match
from sparqc.rewrite.build import PROVISIONAL, NodeBuilder
from sparqc.rewrite.types import require_type

_IDENTITY = "nn.identity"


@dataclass(frozen=True, eq=False)
class Change:
    """What one application did to a graph."""

    rule: RuleDecl
    #: Names of the values that the matched operators defined, the root's first.
    before: tuple[str, ...]
    #: Names of the values that replaced some of them, then of the other new ones.
    after: tuple[str, ...]
    #: New nodes, in the order in which they compute.
    created: tuple[Node, ...]
    #: Values whose readers may have changed: what was put in, and what the matched nodes read.
    touched: tuple[Value, ...]
    #: Names of replaced values whose type the new ones are believed to have: nobody could tell.
    untyped: tuple[str, ...] = ()


def apply(rule: RuleDecl, match: Match, environment: Environment) -> Change | None:
    """Apply a rule to a match; None, and no change, where the graph would stay what it is.

    New nodes stand in front of the root and carry the origin of what they replace.  Replacements
    keep the name and the type of the value they replace, graph outputs their names.  Operators
    that nobody reads any more are removed.

    Raises SparqcError, the graph unchanged, where a native fails or the rewrite makes no sense.
    """
    builder = NodeBuilder(rule, match, environment)
    try:
        builder.run()
        pairs = _pairs(builder)
        for old, new in pairs:
            _refuse_cycle(builder, old, new)
    except BaseException:
        builder.undo()
        raise
    if not pairs:
        builder.undo()
        return None
    return _commit(builder, pairs)


def _pairs(builder: NodeBuilder) -> list[tuple[Value, Value]]:
    """Which value is replaced by which; a rewrite that changes nothing has none."""
    found: list[tuple[Value, Value]] = []
    for statement in builder.rule.rewrite:
        for name in statement.targets:
            old, new = builder.match.bindings.get(name), builder.names[name]
            if isinstance(old, Value) and old is not new:
                value = _as_value(builder, name, old, new)
                if value.producer not in builder.created:  # else compared when it was built
                    span = statement.span or builder.rule.span
                    rule = builder.rule.name
                    require_type(builder.graph, old, value.type, rule, span, builder.table)
                found.append((old, value))
    if all(_is_idle(old, new) for old, new in found):
        return []
    return found


def _as_value(builder: NodeBuilder, name: str, old: Value, new: object) -> Value:
    if isinstance(new, Value):
        return new
    if new is None:
        raise PatternError(
            f"{builder.rule.name}: {name!r} is replaced by an absent value", span=builder.rule.span
        )
    value = builder.constant(new, old.name)
    builder.names[name] = value
    return value


def _is_idle(old: Value, new: Value) -> bool:
    """Whether it would only put an Identity in the place of an Identity."""
    return not old.readers and _keeps_identity(old, new)


def _keeps_identity(old: Value, new: Value) -> bool:
    """Whether an Identity has to stay: without it an output would be an input or a constant."""
    node = old.producer
    is_identity = node is not None and node.op == _IDENTITY and list(node.inputs) == [new]
    return is_identity and old.is_output and new.producer is None


def _refuse_cycle(builder: NodeBuilder, old: Value, new: Value) -> None:
    """A new node must not read what is computed from the value it replaces."""
    if new.producer is None or old.producer is builder.match.root:
        return
    created = set(builder.created)
    readers = set(old.readers) - created
    stack, seen = [new.producer], set[Node]()
    while stack:
        node = stack.pop()
        if node in readers:
            raise PatternError(
                f"{builder.rule.name}: the rewrite of {old.name} would read its own result",
                span=builder.rule.span,
            )
        if node not in seen:
            seen.add(node)
            stack.extend(v.producer for v in node.inputs if v.producer and v is not old)


def _commit(builder: NodeBuilder, pairs: Sequence[tuple[Value, Value]]) -> Change:
    """From here on nothing can fail."""
    graph, match = builder.graph, builder.match
    before = tuple(v.name for node in match.nodes for v in node.outputs)
    frontier = dict.fromkeys(v for node in match.nodes for v in node.inputs)
    unordered = any(_may_stand_late(builder, *pair) for pair in pairs)
    kept = [(n, slot, op) for n in builder.created for slot, op in n.operands.items()]
    for reader, old, new in builder.own:
        _take_over(builder, old, new)
        for slot in reader.slots_of(old):
            graph.redirect(reader, slot, old, new)
    for old, new in pairs:
        _take_over(builder, old, new)
        _replace(builder, old, new)
    for node, slot, operand in kept:  # a new node that reads the old value goes on reading it
        if node.operands[slot] != operand:
            graph.set_operand(node, slot, operand)
    graph.drop_dead([*builder.created, *match.nodes])
    for old, _ in pairs:
        graph.drop_constant(old)
    if unordered:
        graph.sort()
    _name(graph, builder)
    put_in = [*(new for _, new in pairs), *(new for _, _, new in builder.own)]
    touched = [*put_in, *(v for v in frontier if is_alive(graph, v))]
    created = tuple(n for n in builder.created if is_alive(graph, n.output))
    _keep_layers(builder, created)
    after = [*put_in, *(v for node in created for v in node.outputs)]
    names = tuple(dict.fromkeys(v.name for v in after))
    touched = list(dict.fromkeys(touched))
    return Change(builder.rule, before, names, created, tuple(touched), tuple(builder.untyped))


def _take_over(builder: NodeBuilder, old: Value, new: Value) -> None:
    """A new value has the type of the one it replaces, and its name if it has no better one; an
    old one whose type is not known has that type too."""
    if new.producer not in builder.created:
        if new.type.dtype == "?" or new.shape is None:
            new.type = TensorType(
                old.type.dtype if new.type.dtype == "?" else new.type.dtype,
                old.shape if new.shape is None else new.shape,
            )
        return
    if old.shape is not None and old.type.dtype != "?":
        new.type = old.type
    preferred = builder.preferred_names.get(new, ())
    if old.name not in preferred:
        builder.preferred_names[new] = (*preferred, old.name)


def _may_stand_late(builder: NodeBuilder, old: Value, new: Value) -> bool:
    """Whether what defines the new value may stand behind a reader, or in front of an operand."""
    root = builder.match.root
    if new.producer is None:
        return False
    if old.producer is root:  # the new nodes stand in front of it
        return any(v.producer is root for node in builder.created for v in node.inputs)
    return any(reader is not root for reader in old.readers)


def _replace(builder: NodeBuilder, old: Value, new: Value) -> None:
    """Put `new` in the place of `old`, with an Identity where an output would be an input."""
    graph = builder.graph
    if not old.is_output or new.producer is not None:
        graph.replace(old, new)
        return
    places = [i for i, value in enumerate(graph.outputs) if value is old]
    output = old if _keeps_identity(old, new) else _identity(builder, old, new)
    graph.replace(old, new)
    outputs = list(graph.outputs)
    for place in places:
        outputs[place] = output
    graph.set_outputs(outputs, graph.output_names)


def _identity(builder: NodeBuilder, old: Value, new: Value) -> Value:
    node = builder.graph.create(
        _IDENTITY,
        {"x": new},
        types=[old.type],
        names=[old.name + PROVISIONAL],
        before=builder.match.root,
        origin=builder.origin(old.producer),
    )
    builder.created.append(node)
    # In front, before a constant takes the name:
    builder.preferred_names = {node.output: (old.name,), **builder.preferred_names}
    return node.output


def _keep_layers(builder: NodeBuilder, created: Sequence[Node]) -> None:
    """What was known as a layer and is gone lives on in what took its place: in the new operator
    with a weight, where there is one."""
    gone = (n for n in builder.match.nodes if n.outputs and not is_alive(builder.graph, n.output))
    known = {name for node in created for name in node.layers}
    lost = [name for node in gone for name in node.layers if name not in known]
    if lost and created:
        multiply = [n for n in created if weight_of(n, builder.table)]
        heir = [*created, *multiply][-1]
        heir.layers = tuple(dict.fromkeys((*heir.layers, *lost)))


def _name(graph: Graph, builder: NodeBuilder) -> None:
    """Give new values the names that became free, the best one first."""
    for value, preferred in builder.preferred_names.items():
        if is_alive(graph, value):
            free = next((w for w in preferred if w not in graph), None)
            graph.rename(value, free or graph.fresh(preferred[0]))


def is_alive(graph: Graph, value: Value) -> bool:
    """Whether a value still is part of its graph."""
    return value.name in graph and graph.value(value.name) is value
