"""A finished graph as a file that its target reads as it is meant."""

from __future__ import annotations

import onnx

from sparqc.declared.misread import misread
from sparqc.declared.targets import Profile
from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph
from sparqc.ir.onnx.adapter import write_onnx
from sparqc.ir.onnx.metadata.provenance import METADATA_IR
from sparqc.ir.vocabulary.table import OperatorTable


def write_for(
    graph: Graph, table: OperatorTable, target: Profile, opset: int | None = None
) -> onnx.ModelProto:
    """The model in `opset`, by default that of the graph: in an older one where the target would
    misread a form of it that the older one spells otherwise.

    Its nodes say where they come from, if the target `reads_origins`.
    Where the graph has no form there it stays; `misread` says what is left.  Raises SparqcError as
    `write_onnx` does.
    """
    origins = reads_origins(target)
    model = write_onnx(graph, table, opset=opset, origins=origins)
    while found := misread(model, target.name):
        older = min(m.form.since for m in found) - 1
        if older < target.oldest_written:
            break
        try:
            model = write_onnx(graph, table, opset=older, origins=origins)
        except SparqcError:
            break
    return model


def reads_origins(target: Profile) -> bool:
    """Whether a target reads files of an IR in which nodes have metadata: that of its newest opset.

    An older parser gets a file that does not say where nodes come from.
    """
    newest = onnx.helper.make_opsetid("", target.max_opset)
    return onnx.helper.find_min_ir_version_for([newest], ignore_unknown=True) >= METADATA_IR


def require_read(model: onnx.ModelProto, target: Profile) -> None:
    """Raises SparqcError where the target takes an operator for something else."""
    for found in misread(model, target.name):
        form = found.form
        raise SparqcError(
            f"{found.node.name or found.node.output[0]}: the target {target.name} reads a "
            f"{form.operator} with {form.attribute} = {found.value} as {form.read_as} "
            f"({form.source})",
            hint=f"below opset {form.since} the form is another: leave export{{opset=…}} out, or "
            "spell the model without this operator",
        )
