"""An ONNX file held against the rules of a target: what `sparqc check` finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from sparqc.declared.gpus import Gpu, default_gpus, gpu
from sparqc.declared.knobs import knobs_of
from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph
from sparqc.ir.onnx.adapter import load_onnx
from sparqc.ir.onnx.meaning.faults import structure_faults
from sparqc.ir.onnx.metadata.provenance import modules_of
from sparqc.job.open import Job, new_job
from sparqc.job.options import Options
from sparqc.passes.check.check import Finding, findings_of
from sparqc.passes.check.file_checks import Subject, file_findings
from sparqc.passes.check.lost_layers import lost_layers
from sparqc.passes.difference.differences import compared
from sparqc.passes.difference.sparse import sparse_findings
from sparqc.predict.predict import predict_graph
from sparqc.predict.roofline import gpu_notes
from sparqc.report.layers import layer_rows
from sparqc.rewrite.context import Context
from sparqc.tools.engine.onnx_source import read_source
from sparqc.tools.explain.prediction import sized
from sparqc.tools.model.recorded_options import recorded_options


@dataclass(frozen=True)
class Checked:
    """A model and what was found in it."""

    model: onnx.ModelProto
    options: Options
    #: As it was read, with sizes filled in where they are open.
    graph: Graph
    context: Context
    #: Their nodes are the names of ONNX nodes, the name of the first output for nameless ones.
    findings: tuple[Finding, ...]
    #: Layers with weights, those in INT8, and those that are 2:4.
    layers: int
    int8_layers: int
    sparse_layers: int
    #: What is to know of the GPU that prices are for, where a person named one.
    gpu_notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "target": self.context.target.name,
            "layers": self.layers,
            "int8_layers": self.int8_layers,
            "sparse_layers": self.sparse_layers,
            "gpu_notes": list(self.gpu_notes),
            "findings": [finding.to_json() for finding in self.findings],
        }


@dataclass(frozen=True)
class Asked:
    """What a file is checked for; without a target, for the one that it was compiled for."""

    target: str = ""
    #: Words such as "attention=int8", which go before those that it was compiled with.
    knobs: tuple[str, ...] = ()
    patterns: tuple[Path, ...] = ()
    #: The GPU that prices are for, "" for the first of those that are known by default.
    gpu: str = ""
    #: The size of a free batch dimension, for the prices; 8 if None.
    batch: int | None = None

    def prices_for(self) -> Gpu:
        """The GPU; UsageError where it is unknown."""
        return gpu(self.gpu) if self.gpu else default_gpus()[0]


def check_file(path: Path, asked: Asked | None = None) -> Checked:
    """Read an ONNX file and check it.

    Raises UsageError for a file that is not there, an unknown target, knob or GPU, SparqcError for
    one that is no whole ONNX model.
    """
    return check_proto(load_onnx(path, faulty=True), asked)


def check_proto(model: onnx.ModelProto, asked: Asked | None = None) -> Checked:
    """As `check_file`, of a model in memory that `load_onnx` read or sparqc wrote."""
    asked = asked or Asked()
    priced_for = asked.prices_for()
    figures = knobs_of(priced_for) if asked.gpu else ()
    knobs = (*figures, *asked.knobs)
    options = recorded_options(model, asked.target, knobs, asked.patterns)
    faults = structure_faults(model)
    broken = not all(fault.readable for fault in faults)
    job = _with_sizes(_without_nodes(model) if broken else model, options, asked.batch)
    graph, context = job.graph, job.context
    found = [*file_findings(Subject(model, graph, context, faults))]
    if not broken:
        found += [*findings_of(graph, context), *lost_layers(graph, context.table)]
        differences = compared(graph, context, priced_for)
        sparse = differences.sparse
        if sparse and asked.batch is None:
            sparse = _whatever_the_batch(sparse, model, options)
        found += [*differences.placement, *sparse]
    rows = layer_rows(graph, context)
    int8_layers = sum(row.int8 for row in rows)
    notes = gpu_notes(priced_for, context.target, int8_layers > 0) if asked.gpu else ()
    return Checked(
        model=model,
        options=options,
        graph=graph,
        context=context,
        findings=tuple(_with_node_names(found, model)),
        layers=len(rows),
        int8_layers=int8_layers,
        sparse_layers=sum(row.sparse for row in rows),
        gpu_notes=tuple(notes),
    )


def _without_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """What can be read of a model whose nodes mean nothing."""
    graph = onnx.GraphProto(name=model.graph.name)
    return onnx.helper.make_model(graph, opset_imports=model.opset_import)


def _with_sizes(model: onnx.ModelProto, options: Options, batch: int | None) -> Job:
    """The model read with the sizes of its inputs filled in, which prices need.

    Where 8 does not fit it, they stay open, and differences have no price, and so where an input is
    a list, which may be a shape; UsageError where the batch that a person gives does not fit.
    """
    try:
        source = read_source(model)
        if batch is None and any(spec.dims and len(spec.dims) == 1 for spec in source.inputs):
            return new_job(model, options=options)
        return new_job(sized(source, batch, None)[0], options=options)
    except SparqcError:
        if batch is not None:
            raise
        return new_job(model, options=options)


def _whatever_the_batch(
    findings: Sequence[Finding], model: onnx.ModelProto, options: Options
) -> tuple[Finding, ...]:
    """Without the layers that are 2:4 for nothing only at the batch that stands for a free one."""
    job = new_job(model, options=options)
    engine = predict_graph(job.graph, job.context)
    always = {finding.nodes for finding in sparse_findings(engine, job.graph)}
    return tuple(finding for finding in findings if finding.nodes in always)


def _with_node_names(findings: Sequence[Finding], model: onnx.ModelProto) -> Iterator[Finding]:
    names, modules = node_names(model), modules_of(model)
    for finding in findings:
        nodes = tuple(dict.fromkeys(names.get(n, n) for n in finding.nodes))
        yield replace(finding, nodes=nodes).with_modules(modules)


def node_names(model: onnx.ModelProto) -> dict[str, str]:
    """The name of the node that gives each tensor; of a nameless one, that of its first output."""
    return {o: node.name or node.output[0] for node in model.graph.node for o in node.output if o}
