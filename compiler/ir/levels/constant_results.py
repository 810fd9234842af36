"""Results that a graph computes from its constants alone: which they are, and their arrays."""

from __future__ import annotations

from collections.abc import Sequence

from sparqc.ir.cut_out import cut_out
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.native import OnnxRaw
from sparqc.ir.vocabulary.table import OperatorTable

#: ONNX operators that give something else each time.
_RANDOM = ("onnx.Random", "onnx.Bernoulli", "onnx.Multinomial")


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
    if node.op.startswith("aten."):
        return not _is_random(node.op)
    return not node.op.startswith(_RANDOM)


def _is_random(op: str) -> bool:
    import torch  # only graphs of the FX level have such operators, and they come through torch

    namespace, packet, overload = (*op.split("."), "default")[:3]
    found = getattr(getattr(torch.ops, namespace), packet, None)
    found = getattr(found, overload, None)
    return found is None or torch.Tag.nondeterministic_seeded in found.tags


def constant_results(graph: Graph, values: Sequence[Value], table: OperatorTable) -> list[Array]:
    """The arrays of values that depend on no input; SparqcError where an operator fails."""
    return open_runner(cut_out(graph, [], values), table, shared=False).run([])[0]
