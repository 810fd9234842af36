"""From a model and the options to a job: everything is read, and no pass has run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from sparqc.errors import UsageError
from sparqc.ir.graph import Graph
from sparqc.ir.levels.parameters import fold_parameters
from sparqc.ir.onnx.adapter import load_onnx, read_onnx
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.table import default_table
from sparqc.job.batches import Calibration, Inputs, as_batch, batches_of, sample_of
from sparqc.job.layers import LayerChoice, resolve, selectors
from sparqc.job.options import Options
from sparqc.job.words import check_skipped, read_words
from sparqc.pipeline import run as pipelines
from sparqc.pipeline.action import Action
from sparqc.pipeline.events import Listener
from sparqc.pipeline.gate import Gate
from sparqc.pipeline.library import read_user_file, rulebook
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
    level: Level = "onnx" if isinstance(model, (str, Path, onnx.ModelProto)) else "fx"
    if isinstance(model, Graph):
        level = model.level
    elif level == "onnx" and not options.dynamic_batch:
        raise UsageError("--static is for PyTorch models; an ONNX file says itself what is fixed")
    # Before the model is captured, which takes seconds:
    words = read_words(options, level, user_files)
    rules = rulebook(user_files)
    check_skipped(options.skip, words.pipeline, rules.declarations)
    graph, notes, example = open_graph(model, inputs, options.dynamic_batch)
    words.boundary.check(graph)
    choices = resolve(words.choices, graph, default_table())
    floats, dense, sparse = selectors(choices)
    batches = batches_of(graph, calibration, options.random_calibration, example)
    gate = Gate(lambda count: sample_of(graph, example, batches, count))
    context = Context(
        table=default_table(),
        rules=rules,
        target=words.target,
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
        quantizes=words.pipeline.quantizes,
        precision=words.precision,
        precision_asked=bool(options.float),
        boundary=words.boundary,
        knobs=words.knobs,
        ranks=ranks,
    )
    for name, value in context.knobs.items():
        context.rules.turn(name, value)
    context.rules.leave_out(options.skip)
    if progress:
        context.progress = progress
    return Job(graph, words.pipeline, context, notes, choices, gate)


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
