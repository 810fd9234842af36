"""From an FX graph to an ONNX graph."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sparqc.errors import SparqcError
from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.onnx.read import read_written
from sparqc.ir.onnx.write import write_surgeon
from sparqc.ir.uncalibrated import is_uncalibrated
from sparqc.ir.vocabulary.onnx_schema import DEFAULT_OPSET
from sparqc.ir.vocabulary.table import OperatorTable


def to_onnx(
    graph: Graph,
    table: OperatorTable,
    opset: int = DEFAULT_OPSET,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    example: Sequence[Array] = (),
) -> Graph:
    """The graph in ONNX's operators; the FX graph itself stays as it is.

    Quantizers become Q/DQ pairs, masks of constants are folded into these, values keep their
    names.  Where every operator has an ONNX form in the table, the graph is written straight from
    these forms.  Otherwise torch.onnx exports it, which takes seconds; `example` then gives the
    sizes of symbolic dimensions to trace with.

    Raises SparqcError, naming operator, module and source line, where neither can.
    """
    copy = _prepared(graph, table)
    _rename(copy, input_names, output_names)
    for node in copy.nodes:
        if is_uncalibrated(node):
            raise SparqcError(
                f"the quantizer {node.output.name!r} ({node.origin.module or 'top level'}) has no "
                "scale yet",
                hint="calibrate the graph before it is exported",
            )
    try:
        return _direct(copy, table, opset)
    except SparqcError as error:
        # Both imports are slow, and few models come here.
        from sparqc.ir.export.through_torch import export_with_torch

        return _direct(export_with_torch(copy, table, opset, example, error), table, opset)


def _direct(graph: Graph, table: OperatorTable, opset: int) -> Graph:
    """The ONNX graph of a graph whose operators all have ONNX forms."""
    exported = read_written(write_surgeon(graph, table, opset=opset), table)
    exported.name = graph.name
    _restore_constants(exported, graph)
    _restore_outputs(exported, graph)
    return exported


def _restore_constants(exported: Graph, graph: Graph) -> None:
    """Give a weight that was written in another layout its own name, where that is free now."""
    for constant in exported.constants:
        stem = re.sub(r"_\d+$", "", constant.name)
        if constant.name not in graph and stem in graph and stem not in exported:
            exported.rename(constant, stem)


def _restore_outputs(exported: Graph, graph: Graph) -> None:
    """Give the values behind the outputs the names that they had; the outputs keep theirs.

    The file calls a value that is an output by the output's name.  What is known of a layer is
    known under the value's.
    """
    for value, before in zip(exported.outputs, graph.outputs, strict=True):
        if value.producer is not None and before.name not in exported:
            exported.rename(value, before.name)


def _prepared(graph: Graph, table: OperatorTable) -> Graph:
    """A copy without dead operators, and with the masks of constants folded."""
    copy = graph.clone()
    copy.drop_dead()
    for node in copy.nodes:
        if node.op == "sparse.mask":
            _fold(copy, node, table)
    return copy


def _fold(graph: Graph, node: Node, table: OperatorTable) -> None:
    weight, data = node.operands["w"], constant_value(node.output, table)
    if data is None or not isinstance(weight, Value):
        return
    folded = graph.constant(data, weight.name)
    graph.replace(node.output, folded)
    graph.drop_dead([node])
    if weight.name not in graph:
        graph.rename(folded, weight.name)


def _rename(graph: Graph, inputs: Sequence[str] | None, outputs: Sequence[str] | None) -> None:
    for value, name in zip(graph.inputs, inputs or (), strict=False):
        if name in graph and graph.value(name) is not value:
            graph.rename(graph.value(name), graph.fresh(name))
        graph.rename(value, name)
    if outputs is not None:
        graph.set_outputs(graph.outputs, outputs)
