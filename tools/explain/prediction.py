"""The engine that a target is expected to make of an ONNX file, under the names of its nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import onnx

from sparqc.errors import UsageError
from sparqc.ir.graph import Graph
from sparqc.ir.input_shapes import InputSpec, Shapes, input_ranges
from sparqc.ir.onnx.adapter import load_onnx
from sparqc.ir.onnx.metadata.provenance import modules_of
from sparqc.ir.quantizers import onnx_conversions
from sparqc.job.open import new_job
from sparqc.match.match import Index, Matcher
from sparqc.passes.check.file_checks import Subject, file_findings
from sparqc.predict.engine import PredictedEngine
from sparqc.predict.predict import predict_graph
from sparqc.rewrite.context import Context
from sparqc.tools.engine.onnx_source import OnnxSource, read_source
from sparqc.tools.model.recorded_options import recorded_options

#: What is said where sizes stay open.
OPEN_SIZES = "sizes that are not known are left out of all figures: give them with --shape"


def predict(
    model: str | Path | onnx.ModelProto,
    target: str = "",
    *,
    batch: int | None = None,
    shapes: Shapes | None = None,
    knobs: Sequence[str] = (),
    patterns: Sequence[Path] = (),
) -> PredictedEngine:
    """Predict what a target makes of an ONNX model, sparqc's or anybody's.

    Args:
        model: a path, or a model in memory (which stays as it is).
        target: a target profile, "" for the one that the model was compiled for, else the default.
        batch: the size of a free batch dimension, 8 if None.
        shapes: input name -> one exact shape, or a range, of which the usual one counts.
        knobs: words such as "attention=int8", which go before those that it was compiled with.
        patterns: pattern files whose fusions and shares count too.

    Sizes that stay open are left out of the figures, and a note says so.

    Raises:
        UsageError: no such file or target, or shapes that do not fit.
        SparqcError: the file is no valid ONNX model.
    """
    source = read_source(_loaded(model))
    options = recorded_options(source.model, target, knobs, patterns)
    model, notes = sized(source, batch, shapes)
    job = new_job(model, options=options)
    notes += tuple(_as_written(model, job.graph, job.context))
    engine = predict_graph(job.graph, job.context)
    notes = (*notes, *engine.notes, *_refusals(job.graph, job.context))
    return _named(replace(engine, notes=notes), source)


def _as_written(model: onnx.ModelProto, graph: Graph, context: Context) -> Iterator[str]:
    """Let quantizers be opaque whose scale is a vector of one entry, where the target fuses no such
    ones, as `sparqc check` says of the file: reading made scalars of them.  A note where there are
    any."""
    found = file_findings(Subject(model, graph, context), only="scale-of-one-entry")
    names = [name for finding in found for name in finding.nodes]
    for name in names:
        node = graph.value(name).producer if name in graph else None
        if node is not None:
            node.op = f"onnx.{node.op.removeprefix('q.')}"
    if names:
        yield (
            "scales are vectors of one entry, and what reads the data runs in float: `sparqc check "
            "--fix` writes scalars (scale-of-one-entry)"
        )


def _refusals(graph: Graph, context: Context) -> Iterator[str]:
    """A note where checks find errors: there may be no engine at all."""
    target = context.target.name
    matcher = Matcher(context.rules, context.table, target)
    errors = (c for c in context.rules.checks(graph.level, target) if c.grade == "error")
    index = Index(matcher, errors)
    found = {c.name for n in graph.nodes for c in index.at(n) if matcher.first(c, n)}
    if found:
        names = ", ".join(sorted(name.replace("_", "-") for name in found))
        yield f"{target} may refuse the file: `sparqc check` finds errors ({names})"


def _loaded(model: str | Path | onnx.ModelProto) -> onnx.ModelProto:
    if isinstance(model, onnx.ModelProto):
        return model
    return load_onnx(Path(model))


# -- sizes -------------------------------------------------------------------------------------


def sized(
    source: OnnxSource, batch: int | None, shapes: Shapes | None
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The model with the sizes of its inputs filled in, and what is to be said of open ones."""
    if not any(_is_open(spec) for spec in source.inputs):
        if batch is not None or shapes:
            input_ranges(source.inputs, batch, shapes)  # refuses what does not fit
        return source.model, ()
    try:
        ranges = input_ranges(source.inputs, batch, shapes)
    except UsageError:
        if batch is not None or shapes:
            raise
        return source.model, (OPEN_SIZES,)
    sizes = {name: r.opt for name, r in ranges.items()}
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    _fill(model.graph, sizes, dict(_symbols(source.inputs, sizes)))
    return model, ()


def _is_open(spec: InputSpec) -> bool:
    return spec.dims is None or not all(isinstance(d, int) for d in spec.dims)


def _symbols(
    inputs: Sequence[InputSpec], sizes: Mapping[str, Sequence[int]]
) -> Iterator[tuple[str, int]]:
    """The size that each symbol of the inputs has."""
    for spec in inputs:
        for dim, size in zip(spec.dims or (), sizes[spec.name], strict=False):
            if isinstance(dim, str) and dim:
                yield dim, size


def _fill(
    graph: onnx.GraphProto, sizes: Mapping[str, Sequence[int]], symbols: Mapping[str, int]
) -> None:
    """Write the sizes into the graph; a symbol without one is left to shape inference."""
    for value in graph.input:
        if value.name in sizes:
            dims = value.type.tensor_type.shape.dim
            del dims[:]
            for size in sizes[value.name]:
                dims.add().dim_value = size
    for value in (*graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in symbols:
                dim.dim_value = symbols[dim.dim_param]
            elif dim.HasField("dim_param"):
                dim.ClearField("dim_param")


# -- names -------------------------------------------------------------------------------------


def _named(engine: PredictedEngine, source: OnnxSource) -> PredictedEngine:
    """The engine with the names of the ONNX nodes and their modules beside those of the values."""
    names, known = node_names(source), modules_of(source.model)
    nodes = [n for n in source.model.graph.node if n.op_type not in onnx_conversions()]
    computed = {name for n in nodes for name in (n.name, *n.output)}
    modules = {source.known_as(name): m for name, m in known.items() if name in computed}
    kernels = tuple(
        replace(
            k,
            nodes=tuple(dict.fromkeys(names[v] for v in k.values if v in names)),
            module=modules.get(k.name, ""),
        )
        for k in engine.kernels
    )
    ledger = tuple(
        replace(r, node=names.get(r.value, r.value), module=modules.get(r.value, ""))
        for r in engine.ledger
    )
    return replace(engine, kernels=kernels, ledger=ledger, modules=modules)


def node_names(source: OnnxSource) -> dict[str, str]:
    """The name of the node that defines each tensor."""
    return {
        output: source.known_as(node.name)
        for node in source.model.graph.node
        for output in node.output
        if output
    }
