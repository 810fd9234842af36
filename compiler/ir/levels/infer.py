"""Types of the outputs of new nodes, at the level of their graph."""

from __future__ import annotations

from sparqc.ir.graph import Graph, Node, TensorType
from sparqc.ir.inferred import Inferred
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.table import OperatorTable


def infer_types(graph: Graph, node: Node, table: OperatorTable) -> None:
    """Set the types of a node's outputs from the types of its operands.

    A dtype, a shape or a dimension that cannot be told stays unknown.  Looks at this node alone:
    the cost does not depend on the size of the graph.
    """
    if table.has(node.op, "keeps_type"):  # no need to ask a library
        node.output.type = next(node.inputs).type
        return
    found = _asked(graph, node, table)
    for index, value in enumerate(node.outputs):
        value.type = found.of(index)


def inferred(graph: Graph, node: Node, table: OperatorTable) -> Inferred:
    """What follows from the operands of a node, which stays as it is, and whether they fit."""
    keeps_type, operands = table.has(node.op, "keeps_type"), list(node.inputs)
    if keeps_type and len(operands) == 1:  # no need to ask a library
        return Inferred((operands[0].type,))
    found = _asked(graph, node, table)
    return Inferred((operands[0].type,), found.refusal) if keeps_type else found


def _asked(graph: Graph, node: Node, table: OperatorTable) -> Inferred:
    # Each half imports a large library (torch, onnx) that work on the other level does without.
    if graph.level == "fx":
        from sparqc.ir.fx import infer as fx_infer

        return fx_infer.inferred(graph, node, table)
    from sparqc.ir.onnx import infer as onnx_infer

    return onnx_infer.inferred(graph, node, table)


def may_be(type: TensorType, other: TensorType, level: Level) -> bool:
    """Whether two types may be those of one value, as far as both are known."""
    if "?" not in (type.dtype, other.dtype) and type.dtype != other.dtype:
        return False
    if type.shape is None or other.shape is None:
        return True
    if len(type.shape) != len(other.shape):
        return False
    return all(_same(a, b, level) for a, b in zip(type.shape, other.shape, strict=True))


def _same(size: int | str, other: int | str, level: Level) -> bool:
    if size == other or (isinstance(size, int) and isinstance(other, int)):
        return size == other
    if level == "onnx":  # a name says which sizes are alike, and may be one that a tool made up
        return True
    from sparqc.ir.fx.infer import same_size

    return same_size(str(size), str(other))
