"""A graph as text, and back: the notation of dumps, of pattern files and of their examples.

    graph resnet18 on fx (x: f32[batch, 3, 224, 224]) -> (output):
        conv1.weight: const f32[64, 3, 7, 7] = #9f2c71aa03de
        conv = nn.conv(x, conv1.weight, none, strides=[2, 2]) : f32[batch, 64, 112, 112]  # conv1
        return conv as output

The text depends on nothing but the graph.  Attributes that have their default are left out.
`parse_graph` reads it back into a graph that prints the same again; constants of more than 16
elements are known by their hash only, unless their weights are printed or handed to the parser.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sparqc.ir.graph import Graph, Node, TensorType, Value
from sparqc.ir.text.parse import parse_graph, parse_statements
from sparqc.ir.text.tokens import (
    attribute_text,
    constant_text,
    content_hash,
    name_text,
    origin_text,
    type_text,
)
from sparqc.ir.vocabulary.operator import Operator
from sparqc.ir.vocabulary.raw import operator_of, opsets_of
from sparqc.ir.vocabulary.table import OperatorTable, default_table

__all__ = ["content_hash", "parse_graph", "parse_statements", "print_graph", "print_node"]


def print_graph(
    graph: Graph,
    table: OperatorTable | None = None,
    *,
    weights: bool = False,
    origins: bool = True,
) -> str:
    """The whole graph, one line for each constant and each node.

    With `weights`, every constant is written out whatever its size; without `origins`, the
    comments that say where nodes come from are left out.
    """
    table = table or default_table()
    lines = [_header(graph)]
    lines += [f"    {constant_text(c, weights=weights)}" for c in _constants(graph)]
    lines += [f"    {print_node(n, table, weights=weights, origins=origins)}" for n in graph.nodes]
    return "\n".join([*lines, f"    {_return(graph)}"]) + "\n"


def print_node(
    node: Node,
    table: OperatorTable | None = None,
    *,
    weights: bool = False,
    origins: bool = True,
) -> str:
    """One node as one line: `y = nn.conv(x, w, none, groups=2) : f32[1, 8]  # layer1.conv`."""
    row = operator_of(node, table or default_table())
    arguments = [*_operands(node, row), *_attributes(node, row, weights)]
    targets = ", ".join(name_text(v.name) for v in node.outputs)
    line = f"{targets} = {name_text(node.op)}({', '.join(arguments)})"
    if any(v.type != TensorType() for v in node.outputs):
        line += f" : {', '.join(type_text(v.type) for v in node.outputs)}"
    comment = origin_text(node.origin) if origins else ""
    return f"{line}  # {comment}" if comment else line


def _header(graph: Graph) -> str:
    inputs = ", ".join(f"{name_text(v.name)}: {type_text(v.type)}" for v in graph.inputs)
    outputs = ", ".join(map(name_text, graph.output_names))
    level = " ".join([graph.level, *_opsets(graph)])
    return f"graph {name_text(graph.name)} on {level} ({inputs}) -> ({outputs}):"


def _constants(graph: Graph) -> Iterable[Value]:
    """The constants in the order in which they are read, whatever rewrote the graph before."""
    read = [v for node in graph.nodes for v in node.inputs if v.is_const]
    return dict.fromkeys([*read, *graph.constants])


def _opsets(graph: Graph) -> Iterator[str]:
    """`20`, and `20, com.microsoft 1` where the graph uses other domains of ONNX too."""
    if graph.level == "onnx":
        domains = sorted(opsets_of(graph).items())
        yield ", ".join(f"{name_text(d)} {v}" if d else str(v) for d, v in domains)


def _return(graph: Graph) -> str:
    pairs = zip(graph.outputs, graph.output_names, strict=True)
    results = [
        name_text(name) if name == value.name else f"{name_text(value.name)} as {name_text(name)}"
        for value, name in pairs
    ]
    return f"return {', '.join(results)}" if results else "return"


def _operands(node: Node, row: Operator | None) -> Iterator[str]:
    """Operands by position; the values of a variadic last slot stand by themselves.

    Those of a raw operator that are no tensors in its schema stand by name: `size=[%a, %b]`.
    """
    variadic = {o.name for o in row.operands[-1:] if o.variadic} if row else set()
    slots = positional_slots(node.operands, row)
    for slot in slots:
        operand = node.operands[slot]
        if slot in variadic and isinstance(operand, tuple):
            yield from (name_text(v.name) for v in operand)
        else:
            yield _operand(operand)
    for slot, operand in node.operands.items():
        if slot not in slots and operand is not None:
            yield f"{name_text(slot)}={_operand(operand, sign='%')}"


def _operand(operand: Value | tuple[Value, ...] | None, sign: str = "") -> str:
    if operand is None:
        return "none"
    if isinstance(operand, Value):
        return sign + name_text(operand.name)
    return f"[{', '.join(sign + name_text(v.name) for v in operand)}]"


def positional_slots(slots: Iterable[str], row: Operator | None) -> list[str]:
    """The operand slots that stand where the row, or the count of i0, i1, …, expects them."""
    expected = (o.name for o in row.operands) if row else (f"i{n}" for n in itertools.count())
    pairs = zip(slots, expected, strict=False)
    return [slot for slot, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)]


def _attributes(node: Node, row: Operator | None, weights: bool) -> Iterator[str]:
    """Attributes that differ from their default: the table's order first, then by name."""
    defaults: Mapping[str, Any] = row.attributes if row else {}
    order = [k for k in defaults if k in node.attributes]
    for key in [*order, *sorted(node.attributes.keys() - set(order))]:
        attribute = node.attributes[key]
        if key not in defaults or not same(attribute, defaults[key]):
            yield f"{name_text(key)}={attribute_text(attribute, weights=weights)}"


def same(a: Any, b: Any) -> bool:
    """Whether two attributes are equal and of the same type: 1, 1.0 and true are three values."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, Sequence) and isinstance(b, Sequence) and not isinstance(a, str):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b)
