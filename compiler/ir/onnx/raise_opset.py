"""A graph in a newer version of ONNX's own operators."""

from __future__ import annotations

from dataclasses import replace

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph, Node
from sparqc.ir.onnx.native import OnnxNative
from sparqc.ir.vocabulary.onnx_schema import signature_of, split_name
from sparqc.ir.vocabulary.raw import opsets_of
from sparqc.ir.vocabulary.table import OperatorTable


def raise_opset(graph: Graph, opset: int, table: OperatorTable, why: str) -> None:
    """Let the graph be one of `opset`: operators of the table are written as that opset has them.

    Raises SparqcError, beginning with `why`, where another operator has changed since.
    """
    opsets = dict(opsets_of(graph))
    for node in graph.nodes:
        if table.get(node.op) is None and _changes(node, opsets[""], opset):
            raise SparqcError(
                f"{why}, but {node.op} {node.output.name!r} is of opset {opsets['']} and means "
                f"something else in opset {opset}",
                hint=f"export the model in opset {opset}",
            )
    native = graph.native if isinstance(graph.native, OnnxNative) else OnnxNative(opsets)
    graph.native = replace(native, opsets={**opsets, "": opset})


def _changes(node: Node, before: int, after: int) -> bool:
    op_type, domain = split_name(node.op)
    if domain:
        return False
    old, new = signature_of(op_type, domain, before), signature_of(op_type, domain, after)
    return old is not None and (new is None or new.since != old.since)
