"""From a model and the options to a job: everything is read, and no pass has run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import onnx

from sparqc.declared.knobs import parse_knobs
from sparqc.declared.targets import Precision, Profile, default_profile, profile
from sparqc.errors import UsageError, did_you_mean
from sparqc.ir.boundary import BoundaryTypes
from sparqc.ir.graph import Graph
from sparqc.ir.levels.parameters import fold_parameters
from sparqc.ir.onnx.adapter import load_onnx, read_onnx
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.table import default_table
from sparqc.job.batches import Calibration, Inputs, as_batch, batches_of, sample_of
from sparqc.job.layers import LayerChoice, read_layers, resolve, selectors
from sparqc.job.options import Options
from sparqc.lang.ast import PatternFile, RuleDecl
from sparqc.match.rulebook import RuleBook
from sparqc.pipeline import run as pipelines
from sparqc.pipeline.action import Action
from sparqc.pipeline.catalogue import passes
from sparqc.pipeline.events import Listener
from sparqc.pipeline.gate import Gate
from sparqc.pipeline.library import pass_name, read_user_file, rulebook
from sparqc.ranks.ranks import ALONE, Ranks
from sparqc.rewrite.context import Batch, Context, Progress

if TYPE_CHECKING:
    import torch


@dataclass
class Job:
    """A model that was read, and what is about to be done to it."""

    graph: Graph
    pipeline: pipelines.Pipeline
    context: Context
    notes: tuple[str, ...] = ()
    #: What the file of layers asks for; the result is held to it.
    layers: tuple[LayerChoice, ...] = ()
    #: What holds the passes to their word.
    gate: Gate | None = None


def new_job(
    model: torch.nn.Module | onnx.ModelProto | Graph | str | Path,
    inputs: Inputs | Batch | None = None,
    *,
    calibration: Calibration | None = None,
    options: Options,
    progress: Progress | None = None,
    listeners: Sequence[Listener] = (),
    ranks: Ranks = ALONE,
) -> Job:
    """Read the model and everything that is asked for, and run no pass yet; as `compile`.

    A graph, as a dump holds it, is taken as it is.

    With `ranks` several processes do the same at once, and share the work of measuring.
    """
    user_files = [read_user_file(path) for path in options.patterns]
    pipeline = _with_user_passes(pipelines.parse(options.passes), user_files)
    level: Level = "onnx" if isinstance(model, (str, Path, onnx.ModelProto)) else "fx"
    if isinstance(model, Graph):
        level = model.level
    elif level == "onnx" and not options.dynamic_batch:
        raise UsageError("--static is for PyTorch models; an ONNX file says itself what is fixed")
    # Before the model is captured, which takes seconds:
    pipeline.for_level(level)[0].check(level)
    target = profile(options.target) if options.target else default_profile()
    precision = _precision(options.float, target, pipeline)
    boundary = BoundaryTypes.parse(options.io)
    _check_carried_out("--float fp16", options.float == "fp16", "float", pipeline)
    _check_carried_out(f"--io {options.io}", not boundary.is_plain, "io", pipeline)
    choices = read_layers(options.layers) if options.layers is not None else ()
    graph, notes, example = open_graph(model, inputs, options.dynamic_batch)
    boundary.check(graph)
    choices = resolve(choices, graph, default_table())
    floats, dense, sparse = selectors(choices)
    batches = batches_of(graph, calibration, options.random_calibration, example)
    gate = Gate(lambda count: sample_of(graph, example, batches, count))
    context = Context(
        table=default_table(),
        rules=rulebook(user_files),
        target=target,
        action=Action(
            limit=options.limit,
            skip=options.skip,
            check=options.check,
            listeners=listeners,
            gate=gate,
        ),
        example=example,
        calibration=batches,
        random_calibration=options.random_calibration,
        exclude=(*options.exclude, *floats),
        dense=(*options.dense, *dense),
        sparse=sparse,
        quantizes=pipeline.quantizes,
        precision=precision,
        precision_asked=bool(options.float),
        boundary=boundary,
        knobs=parse_knobs(",".join(options.knobs)),
        ranks=ranks,
    )
    for name, value in context.knobs.items():
        context.rules.turn(name, value)
    _check_skipped(options.skip, pipeline, context.rules)
    context.rules.leave_out(options.skip)
    if progress:
        context.progress = progress
    return Job(graph, pipeline, context, notes, choices, gate)


def _check_skipped(names: Iterable[str], pipeline: pipelines.Pipeline, rules: RuleBook) -> None:
    """Raises UsageError for a name that would leave out nothing, which is easily overlooked."""
    known = {step.name for step in pipeline.steps} | {d.name for d in rules.declarations}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"the pipeline is: {pipeline}"
            raise UsageError(
                f"skip: no pass of the pipeline and no declaration is named {name!r}", hint=hint
            )


def _precision(
    wish: Literal["", "fp32", "fp16"], target: Profile, pipeline: pipelines.Pipeline
) -> Precision:
    """The type of what is not quantized; where nothing is, or no pass sets it, and nobody asked for
    another, that of the model."""
    if wish or (pipeline.quantizes and pipeline.carries_out("float")):
        return target.require_precision(wish)
    return "fp32"


def _check_carried_out(
    setting: str, is_set: bool, option: str, pipeline: pipelines.Pipeline
) -> None:
    """Raises UsageError for a wish that no pass of the pipeline looks at."""
    if is_set and not pipeline.carries_out(option):
        able = ", ".join(n for n, cls in passes().items() if option in cls.carries_out)
        raise UsageError(
            f"{setting}: no pass of the pipeline does that: {pipeline}",
            hint=f"add one, behind the export: {able}",
        )


def _with_user_passes(
    pipeline: pipelines.Pipeline, user_files: Sequence[PatternFile]
) -> pipelines.Pipeline:
    """The pipeline with the passes of a person's own files, where it does not name them itself.

    They run first, or, where their rules are for ONNX only, right behind the export.
    """
    named = {step.name for step in pipeline.steps}
    for file in user_files:
        rules = [d for d in file.declarations if isinstance(d, RuleDecl)]
        name = pass_name(file)
        if not rules or name in named:
            continue
        onnx_only = all(rule.levels == ("onnx",) for rule in rules)
        borders = [
            i for i, item in enumerate(pipeline.items) if any(s.cls.gives for s in item.steps)
        ]
        at = borders[0] + 1 if onnx_only and borders else 0
        pipeline = pipelines.Pipeline(
            (*pipeline.items[:at], pipelines.Step(name), *pipeline.items[at:])
        )
    return pipeline


def open_graph(
    model: torch.nn.Module | onnx.ModelProto | Graph | str | Path,
    inputs: Inputs | Batch | None,
    dynamic_batch: bool,
) -> tuple[Graph, tuple[str, ...], Batch]:
    """The graph of a model of any kind, what is worth a note, and an array for each graph input."""
    table = default_table()
    if isinstance(model, (str, Path)):
        model = load_onnx(Path(model))
    if isinstance(model, (onnx.ModelProto, Graph)):
        graph = model if isinstance(model, Graph) else read_onnx(model, table)
        if graph is not model:
            fold_parameters(graph, table)
        names = [value.name for value in graph.inputs]
        return graph, (), [] if inputs is None else as_batch(inputs, names)
    if inputs is None:
        raise UsageError("a PyTorch model needs example inputs: compile(module, (tensor, …))")
    # Only here is torch needed, which takes seconds to import.
    from sparqc.capture.capture import capture
    from sparqc.capture.inputs import arguments_of

    args, kwargs = arguments_of(model, inputs)
    captured = capture(model, args, kwargs=kwargs, dynamic_batch=dynamic_batch)
    return captured.graph, tuple(captured.notes), list(captured.example)
