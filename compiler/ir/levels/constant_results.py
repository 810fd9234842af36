"""Results that a graph computes from its constants alone: which they are, and their arrays."""

from __future__ import annotations

from collections.abc import Sequence

from sparqc.ir.cut_out import cut_out
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.native import OnnxRaw
from sparqc.ir.vocabulary.raw import operator_of
from sparqc.ir.vocabulary.table import OperatorTable, default_table


def input_dependent_values(graph: Graph) -> set[Value]:
    """The graph's inputs, and every value that depends on one of them."""
    found = set(graph.inputs)
    for node in graph.nodes:
        if not found.isdisjoint(node.inputs):
            found.update(node.outputs)
    return found


def is_deterministic(node: Node) -> bool:
    """Whether an operator gives the same results for the same operands, as far as can be seen: it
    draws no random numbers and has no subgraphs."""
    if isinstance(node.raw, OnnxRaw) and node.raw.subgraphs:
        return False
    row = operator_of(node, default_table())
    return not node.op.startswith("aten.") if row is None else "random" not in row.traits


def constant_results(graph: Graph, values: Sequence[Value], table: OperatorTable) -> list[Array]:
    """The arrays of values that depend on no input; SparqcError where an operator fails."""
    return open_runner(cut_out(graph, [], values), table, shared=False).run([])[0]
