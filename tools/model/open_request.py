"""From a request to a model that is read and ready for its passes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from sparqc.ir.graph import Array, dtype_name
from sparqc.ir.onnx.adapter import load_onnx
from sparqc.job.batches import Inputs
from sparqc.job.open import Job, new_job
from sparqc.job.words import require_words
from sparqc.pipeline.events import Listener
from sparqc.rewrite.context import Progress
from sparqc.tools.engine.onnx_source import read_source
from sparqc.tools.model.calibration_file import Slot, file_batches
from sparqc.tools.model.loading import LoadedModel, load
from sparqc.tools.model.own_modules import import_own
from sparqc.tools.model.request import Request


@dataclass(frozen=True)
class Opened:
    """A model that was loaded, and how it is to be compiled."""

    loaded: LoadedModel
    job: Job
    #: What is worth a line in the report.
    notes: tuple[str, ...] = ()


def open_request(
    request: Request, progress: Progress | None = None, listeners: Sequence[Listener] = ()
) -> Opened:
    """Load the model and its data; no pass runs yet.

    Raises SparqcError or UsageError for everything that is wrong with what a person gave.
    """
    import_own(request.imports)
    loaded = load(
        request.model,
        submodule=request.submodule,
        inputs=request.inputs,
        # What its code registers is known by now; to make a network may take a while.
        imported=lambda: require_words(request.options, "fx", runs_code=False),
    )
    proto = load_onnx(loaded.path) if loaded.kind == "onnx" and loaded.path else None
    calibration = calibration_of(request, loaded, proto)
    inputs: Inputs | None = loaded.inputs
    if loaded.keywords:
        inputs = dict(zip(loaded.keywords, loaded.inputs or (), strict=True))
    if proto is not None and calibration is not None:
        inputs = _tensors(next(iter(calibration())))
    model = proto if proto is not None else loaded.module
    assert model is not None
    job = new_job(
        model,
        inputs,
        calibration=calibration,
        options=request.options,
        progress=progress,
        listeners=listeners,
    )
    notes = data_notes(request, loaded)
    return Opened(loaded, job, notes)


def data_notes(request: Request, loaded: LoadedModel) -> tuple[str, ...]:
    """Where random numbers stand for data, the report says so."""
    notes = []
    random = request.options.random_calibration
    if random and request.calibration is None and not loaded.calibration:
        notes.append("calibrated on noise: the scales and the accuracy mean nothing")
    if request.inputs:
        notes.append("the example inputs are noise")
    return tuple(notes)


def calibration_of(
    request: Request, loaded: LoadedModel, proto: onnx.ModelProto | None = None
) -> Callable[[], Iterator[Sequence[Any]]] | None:
    """The calibration batches: of a file, else of the model's own calibration()."""
    if request.calibration is None:
        return loaded.calibration
    open_batch = request.options.dynamic_batch
    slots = _onnx_slots(proto) if proto is not None else _module_slots(loaded, open_batch)
    usual = len(loaded.inputs[0]) if loaded.inputs and loaded.inputs[0].ndim else None
    return file_batches(request.calibration, slots, usual)


def _onnx_slots(proto: onnx.ModelProto) -> list[Slot]:
    types = {v.name: v.type.tensor_type.elem_type for v in proto.graph.input}
    return [Slot(i.name, _element(types[i.name]), i.dims) for i in read_source(proto).inputs]


def _element(code: int) -> str:
    return dtype_name(onnx.helper.tensor_dtype_to_np_dtype(code))


def _module_slots(loaded: LoadedModel, open_batch: bool) -> list[Slot]:
    """The inputs of a module under the names of the parameters of `forward`."""
    assert loaded.module is not None and loaded.inputs is not None
    parameters = list(inspect.signature(loaded.module.forward).parameters)
    names = list(loaded.keywords) or [
        *parameters,
        *(f"input_{i}" for i in range(len(parameters), len(loaded.inputs))),
    ]
    return [
        Slot(name, dtype_name(x.detach().numpy().dtype), _shape(x, open_batch))
        for name, x in zip(names, loaded.inputs, strict=False)
    ]


def _shape(tensor: Tensor, open_batch: bool) -> tuple[int | str, ...]:
    shape = tuple(tensor.shape)
    return ("batch", *shape[1:]) if open_batch and shape else shape


def _tensors(batch: Sequence[Array]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in batch)
