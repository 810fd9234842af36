"""Random small graphs and patterns, and the same graph written down in another order."""

from __future__ import annotations

from hypothesis import strategies as st

from sparqc.ir.graph import Graph, Node, TensorType, Value
from sparqc.lang.ast import Bind, CallPattern, MatchStatement

UNARY = ("nn.relu", "nn.exp", "nn.neg")
BINARY = ("nn.add", "nn.mul", "nn.sub")
TYPE = TensorType("f32", (2,))


@st.composite
def graphs(draw, least: int = 2, most: int = 7) -> Graph:
    """Two inputs, some unary and binary operators, the last of them and some others outputs."""
    graph = Graph("onnx")
    values = [graph.add_input("x", TYPE), graph.add_input("z", TYPE)]
    for number in range(draw(st.integers(least, most))):
        op = draw(st.sampled_from(UNARY + BINARY))
        slots = ("a", "b") if op in BINARY else ("x",)
        # Mostly what was made last, so that deep matches are not rare.
        picks = [draw(st.sampled_from([*values, *values[-2:] * 2])) for _ in slots]
        node = graph.create(op, dict(zip(slots, picks, strict=True)), types=[TYPE],
                            names=[f"v{number}"])  # fmt: skip
        values.append(node.output)
    outputs = [v for v in values[2:] if not v.readers]
    more = draw(st.lists(st.sampled_from(values[2:]), max_size=1))
    graph.set_outputs(list(dict.fromkeys([*outputs, *more])))
    return graph


@st.composite
def blocks(draw, ordered: bool = False) -> tuple[MatchStatement, ...]:
    """A `match` block whose last statement is the only root; with `ordered`, calls may be so."""
    statements: list[MatchStatement] = []
    for number in range(draw(st.integers(1, 3))):
        last = number == 2 or draw(st.booleans())
        call = draw(calls(tuple(s.targets[0] for s in statements), 2, ordered))
        shared = draw(st.sampled_from([False, False, False, True]))
        statements.append(MatchStatement((f"s{number}",), call, shared))
        if last:
            break
    read = {name for s in statements for name in reads(s.call)}
    # Whatever would be a second root is dropped, with the statements that only it reads.
    while len(roots := [s for s in statements if s.targets[0] not in read]) > 1:
        statements.remove(roots[0])
        read = {name for s in statements for name in reads(s.call)}
    return tuple(statements)


@st.composite
def calls(draw, defined: tuple[str, ...], depth: int, ordered: bool) -> CallPattern:
    """A call over free names, statements and further calls."""
    binary = draw(st.booleans())
    pool = BINARY if binary else UNARY
    heads = draw(st.sampled_from([(op,) for op in pool] + [pool[:2]]))
    operands = tuple(draw(_operands(defined, depth, ordered)) for _ in range(2 if binary else 1))
    maybe = draw(st.sampled_from([False, False, True]))
    in_order = ordered and binary and draw(st.booleans())
    return CallPattern(heads, operands, maybe=maybe, ordered=in_order)


def _operands(defined: tuple[str, ...], depth: int, ordered: bool) -> st.SearchStrategy:
    names = st.sampled_from([*defined * 2, "a", "b", "c"]).map(Bind)
    return names if depth == 0 else st.one_of(names, names, calls(defined, depth - 1, ordered))


def reads(call: CallPattern) -> set[str]:
    """The names in the operands of a call."""
    found: set[str] = set()
    for operand in call.operands:
        found |= {operand.name} if isinstance(operand, Bind) else reads(operand)
    return found


def shuffled(graph: Graph, random) -> Graph:
    """The same graph: nodes in another valid order, commuting operands swapped at random."""
    copy = Graph(graph.level)
    values: dict[Value, Value] = {v: copy.add_input(v.name, v.type) for v in graph.inputs}
    for value in graph.constants:
        values[value] = copy.constant(value.data, value.name)
    waiting = list(graph.nodes)
    while waiting:
        ready = [n for n in waiting if all(v in values for v in n.inputs)]
        node = random.choice(ready)
        waiting.remove(node)
        values.update(zip(node.outputs, _copied(node, copy, values, random).outputs, strict=True))
    copy.set_outputs([values[v] for v in graph.outputs], graph.output_names)
    return copy


def _copied(node: Node, graph: Graph, values: dict[Value, Value], random) -> Node:
    operands = {slot: values[v] for slot, v in node.operands.items()}
    if node.op in ("nn.add", "nn.mul") and random.random() < 0.5:
        operands = {"a": operands["b"], "b": operands["a"]}
    return graph.create(node.op, operands, node.attributes, types=[v.type for v in node.outputs],
                        names=[v.name for v in node.outputs], origin=node.origin)  # fmt: skip


def content(graph: Graph) -> tuple[object, ...]:
    """What a graph is, without the order of its nodes and of commuting operands."""
    nodes = set()
    for node in graph.nodes:
        operands = [v.name for v in node.inputs]
        if node.op in ("nn.add", "nn.mul"):
            operands.sort()
        nodes.add((node.output.name, node.op, tuple(operands), node.output.type, node.origin))
    return nodes, [v.name for v in graph.outputs], graph.output_names
