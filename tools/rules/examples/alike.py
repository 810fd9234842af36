"""Whether two graphs are the same but for what an example does not say: names, and numbers of
constants that it only declares."""

from __future__ import annotations

import numpy as np

from sparqc.ir.graph import Graph, Origin, Value
from sparqc.ir.text.parse import is_made_up
from sparqc.ir.text.print import print_graph, print_node
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


def _structure(graph: Graph, table: OperatorTable) -> str:
    """The dump of a copy whose names are numbers and whose constants are zeros."""
    graph = graph.clone()
    graph.drop_dead()
    graph.sort()
    for number, value in enumerate(_constants(graph)):
        assert value.data is not None
        graph.rename(value, f"const.{number}")
        value.data = np.zeros_like(value.data)
    for number, node in enumerate(graph.nodes):
        node.origin = Origin()
        for output in node.outputs:
            graph.rename(output, f"value.{number}.{output.index}")
    graph.output_names = [f"output.{i}" for i in range(len(graph.outputs))]
    return print_graph(graph, table)


def _constants(graph: Graph) -> list[Value]:
    """Those that operators read, in the order in which they do."""
    return list(dict.fromkeys(v for n in graph.nodes for v in n.inputs if v.is_const))


def _statements(graph: Graph, table: OperatorTable) -> list[str]:
    """A graph as an example would write it."""
    lines = [f"{name_text(v.name)}: {type_text(v.type)}" for v in graph.inputs]
    lines += [f"{name_text(v.name)}: const {type_text(v.type)}" for v in _constants(graph)]
    lines += [print_node(node, table, origins=False) for node in graph.nodes]
    return [*lines, f"return {', '.join(name_text(v.name) for v in graph.outputs)}"]
