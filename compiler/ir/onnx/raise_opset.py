"""A graph in a newer version of ONNX's own operators."""

from __future__ import annotations

from dataclasses import replace

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph
from sparqc.ir.onnx.native import OnnxNative
from sparqc.ir.onnx.same_form import require_same_form
from sparqc.ir.vocabulary.onnx_names import split_name
from sparqc.ir.vocabulary.raw import opsets_of
from sparqc.ir.vocabulary.table import OperatorTable


def raise_opset(graph: Graph, opset: int, table: OperatorTable, why: str) -> None:
    """Let the graph be one of `opset`: operators of the table are written as that opset has them.

    Raises SparqcError, beginning with `why`, where another operator may mean something else there.
    """
    opsets = dict(opsets_of(graph))
    raised = {**opsets, "": opset}
    for node in graph.nodes:
        if table.get(node.op) is None and not split_name(node.op)[1]:
            try:
                require_same_form(node, opsets, raised)
            except SparqcError as error:
                raise SparqcError(
                    f"{why}, but {error.message}", hint=f"export the model in opset {opset}"
                ) from error
    native = graph.native if isinstance(graph.native, OnnxNative) else OnnxNative(opsets)
    graph.native = replace(native, opsets=raised)
