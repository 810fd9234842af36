"""Compile a model: the one way in, for Python and for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from sparqc.base.keywords import keywords_of
from sparqc.base.phases import Phases
from sparqc.ir.onnx.adapter import whole_model
from sparqc.job.batches import Calibration, Inputs
from sparqc.job.open import new_job
from sparqc.job.options import Options, make_options
from sparqc.job.run import run_job
from sparqc.pipeline.events import Listener
from sparqc.report.compiled import Compiled
from sparqc.rewrite.context import Progress

if TYPE_CHECKING:
    import torch


def compile(
    model: torch.nn.Module | onnx.ModelProto | str | Path,
    inputs: Inputs | None = None,
    *,
    calibration: Calibration | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
    listeners: Sequence[Listener] = (),
    **wishes: object,
) -> Compiled:
    """Compile a PyTorch module with example inputs, or a float ONNX model, into an ONNX graph.

    `inputs` is a tuple of what the module takes by position, or a dict of what it takes by keyword;
    the inputs of the ONNX graph have the names of its parameters.  `calibration` holds batches,
    each one tensor or array for every input, in their order or by their names: a list, a
    DataLoader, anything that can be walked again, or a function that gives them anew at each call.
    Further keywords are fields of `Options` and go before those of `options`: `passes=`, `target=`,
    `exclude=`, … and `dynamic_batch=False`, with which a PyTorch model keeps the batch of its
    example inputs.

    Raises SparqcError for everything that a person can mend, UsageError where the call is wrong.
    """
    phases, name = Phases(), _name_of(model)
    if isinstance(model, onnx.ModelProto):
        model = whole_model(model)
    job = new_job(
        model,
        inputs,
        calibration=calibration,
        options=make_options(options, keywords_of(compile), **wishes),
        progress=progress,
        listeners=listeners,
    )
    phases.end("reading")
    result = run_job(job)
    phases.end("compiling")
    return Compiled.of(result, name, phases.seconds)


def _name_of(model: torch.nn.Module | onnx.ModelProto | str | Path) -> str:
    """What the report calls it: the file, the graph, or the class."""
    if isinstance(model, (str, Path)):
        return str(model)
    graph = model.graph.name if isinstance(model, onnx.ModelProto) else ""
    return graph or type(model).__name__
