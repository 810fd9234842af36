"""An ONNX file held against the rules of a target: what `sparqc check` finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from sparqc.declared.targets import profiles
from sparqc.ir.graph import Graph
from sparqc.ir.onnx.adapter import load_onnx
from sparqc.ir.onnx.meaning.faults import structure_faults
from sparqc.job.open import new_job
from sparqc.job.options import Options
from sparqc.passes.check.check import Finding, findings_of
from sparqc.passes.check.file_checks import Subject, file_findings
from sparqc.passes.check.lost_layers import lost_layers
from sparqc.passes.check.record import TARGET
from sparqc.rewrite.context import Context
from sparqc.tools.report.layers import layer_rows


@dataclass(frozen=True)
class Checked:
    """A model and what was found in it."""

    model: onnx.ModelProto
    graph: Graph
    context: Context
    #: Their nodes are the names of ONNX nodes, the name of the first output for nameless ones.
    findings: tuple[Finding, ...]
    #: Layers with weights, those in INT8, and those that are 2:4.
    layers: int
    int8_layers: int
    sparse_layers: int

    @property
    def subject(self) -> Subject:
        """The file, for the checks of what its graph does not show."""
        return Subject(self.model, self.graph, self.context)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "target": self.context.target.name,
            "layers": self.layers,
            "int8_layers": self.int8_layers,
            "sparse_layers": self.sparse_layers,
            "findings": [finding.to_json() for finding in self.findings],
        }


def check_file(path: Path, target: str = "", patterns: Sequence[Path] = ()) -> Checked:
    """Read an ONNX file and check it; without a target, for the one that it was compiled for.

    Raises UsageError for a file that is not there and an unknown target, SparqcError for one that
    is no whole ONNX model.
    """
    return check_proto(load_onnx(path, faulty=True), target, patterns)


def check_proto(model: onnx.ModelProto, target: str = "", patterns: Sequence[Path] = ()) -> Checked:
    """As `check_file`, of a model in memory that `load_onnx` read or sparqc wrote."""
    options = Options(passes="", target=target or _recorded(model), patterns=tuple(patterns))
    faults = structure_faults(model)
    broken = not all(fault.readable for fault in faults)
    job = new_job(_without_nodes(model) if broken else model, options=options)
    graph, context = job.graph, job.context
    found = [*file_findings(Subject(model, graph, context, faults))]
    if not broken:
        found += [*findings_of(graph, context), *lost_layers(graph, context.table)]
    rows = layer_rows(graph, context)
    return Checked(
        model=model,
        graph=graph,
        context=context,
        findings=tuple(_with_node_names(found, model)),
        layers=len(rows),
        int8_layers=sum(row.int8 for row in rows),
        sparse_layers=sum(row.sparse for row in rows),
    )


def _without_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """What can be read of a model whose nodes mean nothing."""
    graph = onnx.GraphProto(name=model.graph.name)
    return onnx.helper.make_model(graph, opset_imports=model.opset_import)


def _recorded(model: onnx.ModelProto) -> str:
    """The target that the file says it was compiled for; "" where it says none that is known."""
    name = next((p.value for p in model.metadata_props if p.key == TARGET), "")
    return name if name in profiles() else ""


def _with_node_names(findings: Sequence[Finding], model: onnx.ModelProto) -> Iterator[Finding]:
    names = node_names(model)
    for finding in findings:
        yield replace(finding, nodes=tuple(dict.fromkeys(names.get(n, n) for n in finding.nodes)))


def node_names(model: onnx.ModelProto) -> dict[str, str]:
    """The name of the node that gives each tensor; of a nameless one, that of its first output."""
    return {o: node.name or node.output[0] for node in model.graph.node for o in node.output if o}
