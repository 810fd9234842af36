"""A graph as an `example` block would have it, to be put into a pattern file."""

from __future__ import annotations

import math

from sparqc.ir.graph import Graph, Value
from sparqc.ir.text.print import print_node
from sparqc.ir.text.tokens import constant_text, name_text, type_text
from sparqc.ir.vocabulary.table import OperatorTable

#: Constants of more numbers are declared only.
_FEW = 8


def example_text(graph: Graph, table: OperatorTable) -> str:
    """The statements of a graph, one a line."""
    lines = [f"{name_text(v.name)}: {type_text(v.type)}" for v in graph.inputs]
    lines += [_constant(value) for value in graph.constants]
    lines += [print_node(node, table, origins=False) for node in graph.nodes]
    return "\n".join([*lines, f"return {', '.join(name_text(v.name) for v in graph.outputs)}"])


def _constant(value: Value) -> str:
    few = value.data is not None and math.prod(value.data.shape) <= _FEW
    if few:
        return constant_text(value)
    return f"{name_text(value.name)}: const {type_text(value.type)}"
