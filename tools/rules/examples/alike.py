"""Whether two graphs are the same but for what an example does not say: names, and numbers of
constants that it only declares."""

from __future__ import annotations

import numpy as np

from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.text.parse import is_made_up
from sparqc.ir.text.print import print_node
from sparqc.ir.text.tokens import constant_text, name_text, type_text
from sparqc.ir.vocabulary.table import OperatorTable

#: How far a number that an example states may lie beside the one that a rule computes, by it.
_TOLERANCE = 1e-5


def difference(found: Graph, wanted: Graph, table: OperatorTable) -> str:
    """In what a graph differs from the one that an example states, as lines for people; "" in
    nothing.  Names of values do not count, nor do the numbers of constants without `= …`."""
    if _structure(found, table) != _structure(wanted, table):
        return _beside(_statements(found, table), _statements(wanted, table))
    for value, stated in zip(_constants(found), _constants(wanted), strict=True):
        if not is_made_up(stated) and not _close(value, stated):
            return _beside([constant_text(value)], [constant_text(stated)])
    return ""


def _beside(found: list[str], wanted: list[str]) -> str:
    lines = ["    it gives", *_indented(found), "    and the example says", *_indented(wanted)]
    return "\n".join(lines)


def _indented(lines: list[str]) -> list[str]:
    return [f"        {line}" for line in lines]


def _close(value: Value, stated: Value) -> bool:
    assert value.data is not None and stated.data is not None
    if value.data.dtype.kind != "f":
        return np.array_equal(value.data, stated.data)
    return np.allclose(value.data, stated.data, rtol=_TOLERANCE, atol=1e-8, equal_nan=True)


def _structure(graph: Graph, table: OperatorTable) -> list[str]:
    """The statements of a copy whose names are numbers and whose constants are zeros; inputs keep
    their names.  What leads to the first output comes first, whatever order the nodes stand in."""
    graph = graph.clone()
    for number, value in enumerate(_constants(graph)):
        assert value.data is not None
        graph.rename(value, f"const.{number}")
        value.data = np.zeros_like(value.data)
    for number, node in enumerate(_nodes(graph)):
        for output in node.outputs:
            graph.rename(output, f"value.{number}.{output.index}")
    return _statements(graph, table)


def _nodes(graph: Graph) -> list[Node]:
    """The operators that outputs need, each behind those that it reads."""
    found: dict[Node, None] = {}
    stack = [v.producer for v in reversed(graph.outputs) if v.producer is not None]
    while stack:
        node = stack[-1]
        read = [v.producer for v in node.inputs if v.producer is not None]
        missing = [n for n in read if n not in found]
        if missing and node not in found:
            stack += reversed(missing)
        else:
            found[stack.pop()] = None
    return list(found)


def _constants(graph: Graph) -> list[Value]:
    """Those that these operators read, in their order, and those that are outputs."""
    read = [v for node in _nodes(graph) for v in node.inputs]
    return list(dict.fromkeys(v for v in (*read, *graph.outputs) if v.is_const))


def _inputs(graph: Graph) -> list[Value]:
    """The inputs that are read, by their names."""
    read = {v for node in _nodes(graph) for v in node.inputs} | set(graph.outputs)
    return sorted((v for v in graph.inputs if v in read), key=lambda value: value.name)


def _statements(graph: Graph, table: OperatorTable) -> list[str]:
    """A graph as an example would write it."""
    lines = [f"{name_text(v.name)}: {type_text(v.type)}" for v in _inputs(graph)]
    lines += [f"{name_text(v.name)}: const {type_text(v.type)}" for v in _constants(graph)]
    lines += [print_node(node, table, origins=False) for node in _nodes(graph)]
    return [*lines, f"return {', '.join(name_text(v.name) for v in graph.outputs)}"]
