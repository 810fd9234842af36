"""From a request to a model that is read and ready for its passes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from sparqc.errors import UsageError
from sparqc.ir.graph import Array, dtype_name
from sparqc.ir.onnx.adapter import load_onnx
from sparqc.job.open import Job, new_job
from sparqc.job.options import Options
from sparqc.pipeline.events import Observer
from sparqc.rewrite.context import Progress
from sparqc.tools.engine.onnx_source import read_source
from sparqc.tools.model.calibration_file import Slot, file_batches
from sparqc.tools.model.loading import LoadedModel, load
from sparqc.tools.model.request import Request


@dataclass(frozen=True)
class Opened:
    """A model that was loaded, and how it is to be compiled."""

    loaded: LoadedModel
    job: Job
    #: Bytes of the model's parameters and buffers in FP32.
    float_bytes: int
    #: What is worth a line in the report.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wishes:
    """What only some commands ask for."""

    check: str = "off"
    limit: int | None = None
    skip: tuple[str, ...] = ()
    progress: Progress | None = None
    observers: Sequence[Observer] = ()


def open_request(request: Request, wishes: Wishes | None = None) -> Opened:
    """Load the model and its data; no pass runs yet.

    Raises SparqcError or UsageError for everything that is wrong with what a person gave.
    """
    wishes = wishes or Wishes()
    loaded = load(request.model, submodule=request.submodule, inputs=request.inputs)
    if request.static and loaded.kind == "onnx":
        raise UsageError("--static is for PyTorch models; an ONNX file says itself what is fixed")
    proto = load_onnx(loaded.path) if loaded.kind == "onnx" and loaded.path else None
    calibration = calibration_of(request, loaded, proto)
    inputs = loaded.inputs
    if proto is not None and calibration is not None:
        inputs = _tensors(next(iter(calibration())))
    model = proto if proto is not None else loaded.module
    assert model is not None
    job = new_job(
        model,
        inputs,
        calibration=calibration,
        options=options_of(request, wishes),
        progress=wishes.progress,
        observers=wishes.observers,
        dynamic_batch=not request.static,
    )
    notes = data_notes(request, loaded)
    return Opened(loaded, job, float_bytes_of(model), notes)


def data_notes(request: Request, loaded: LoadedModel) -> tuple[str, ...]:
    """Where random numbers stand for data, the report says so."""
    notes = []
    if request.random_calibration and request.calibration is None and not loaded.calibration:
        notes.append("calibrated on noise: the scales and the accuracy mean nothing")
    if request.inputs:
        notes.append("the example inputs are noise")
    return tuple(notes)


def options_of(request: Request, wishes: Wishes) -> Options:
    """The options of a compile."""
    return Options(
        passes=request.passes,
        target=request.target,
        patterns=request.patterns,
        exclude=request.exclude,
        dense=request.dense,
        layers=request.layers,
        knobs=request.knobs,
        float=request.float,
        io=request.io,
        random_calibration=request.random_calibration,
        check=wishes.check,
        limit=wishes.limit,
        skip=wishes.skip,
    )


def calibration_of(
    request: Request, loaded: LoadedModel, proto: onnx.ModelProto | None = None
) -> Callable[[], Iterator[Sequence[Any]]] | None:
    """The calibration batches: of a file, else of the model's own calibration()."""
    if request.calibration is None:
        return loaded.calibration
    slots = _onnx_slots(proto) if proto is not None else _module_slots(loaded, request.static)
    usual = len(loaded.inputs[0]) if loaded.inputs and loaded.inputs[0].ndim else None
    return file_batches(request.calibration, slots, usual)


def _onnx_slots(proto: onnx.ModelProto) -> list[Slot]:
    types = {v.name: v.type.tensor_type.elem_type for v in proto.graph.input}
    return [Slot(i.name, _element(types[i.name]), i.dims) for i in read_source(proto).inputs]


def _element(code: int) -> str:
    return dtype_name(onnx.helper.tensor_dtype_to_np_dtype(code))


def _module_slots(loaded: LoadedModel, static: bool) -> list[Slot]:
    """The inputs of a module under the names of the parameters of `forward`."""
    assert loaded.module is not None and loaded.inputs is not None
    parameters = list(inspect.signature(loaded.module.forward).parameters)
    names = [*parameters, *(f"input_{i}" for i in range(len(parameters), len(loaded.inputs)))]
    return [
        Slot(name, dtype_name(x.detach().numpy().dtype), _open_batch(x, static))
        for name, x in zip(names, loaded.inputs, strict=False)
    ]


def _open_batch(tensor: Tensor, static: bool) -> tuple[int | str, ...]:
    shape = tuple(tensor.shape)
    return shape if static or not shape else ("batch", *shape[1:])


def _tensors(batch: Sequence[Array]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in batch)


def float_bytes_of(model: nn.Module | onnx.ModelProto) -> int:
    """Bytes of all parameters and float buffers, were they stored in FP32."""
    if isinstance(model, onnx.ModelProto):
        return sum(4 * int(np.prod(tuple(i.dims), dtype=np.int64)) for i in model.graph.initializer)
    tensors = {id(t): t for t in (*model.parameters(), *model.buffers())}
    return sum(4 * t.numel() for t in tensors.values() if t.is_floating_point())
