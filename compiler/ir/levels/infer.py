"""Types of the outputs of new nodes, at the level of their graph."""

from __future__ import annotations

from sparqc.ir.graph import Graph, Node
from sparqc.ir.vocabulary.table import OperatorTable


def infer_types(graph: Graph, node: Node, table: OperatorTable) -> None:
    """Set the types of a node's outputs from the types of its operands.

    A dtype, a shape or a dimension that cannot be told stays unknown.  Looks at this node alone:
    the cost does not depend on the size of the graph.
    """
    # Each half imports a large library (torch, onnx) that work on the other level does without.
    if graph.level == "fx":
        from sparqc.ir.fx import infer as fx_infer

        fx_infer.infer_types(graph, node, table)
    else:
        from sparqc.ir.onnx import infer as onnx_infer

        onnx_infer.infer_types(graph, node, table)
