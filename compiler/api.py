"""Compile a model: the one way in, for Python and for the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from sparqc.ir.graph import Array
from sparqc.job.open import new_job
from sparqc.job.options import Options, make_options
from sparqc.job.run import Compiled, run_job
from sparqc.pipeline.events import Listener
from sparqc.rewrite.context import Progress

if TYPE_CHECKING:
    import torch


def compile(
    model: torch.nn.Module | onnx.ModelProto | str | Path,
    inputs: tuple[torch.Tensor, ...] | None = None,
    *,
    calibration: Callable[[], Iterable[Sequence[torch.Tensor | Array]]] | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
    listeners: Sequence[Listener] = (),
    **wishes: object,
) -> Compiled:
    """Compile a PyTorch module with example inputs, or a float ONNX model, into an ONNX graph.

    `calibration` gives the batches anew at each call, each one tensor or array for every input.
    Further keywords are fields of `Options` and go before those of `options`: `passes=`, `target=`,
    `exclude=`, … and `dynamic_batch=False`, with which a PyTorch model keeps the batch of its
    example inputs.

    Raises SparqcError for everything that a person can mend, UsageError where the call is wrong.
    """
    return run_job(
        new_job(
            model,
            inputs,
            calibration=calibration,
            options=make_options(options, **wishes),
            progress=progress,
            listeners=listeners,
        )
    )
