"""The engine that a target is expected to build of a run's ONNX file, as the page draws it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparqc.declared.gpus import Gpu, default_gpus
from sparqc.errors import SparqcError
from sparqc.predict.built_types import as_built
from sparqc.predict.engine import PredictedEngine, PredictedKernel
from sparqc.predict.kernel_time import kernel_seconds
from sparqc.predict.roofline import estimate
from sparqc.tools.explain.prediction import predict
from sparqc.tools.explain.text import estimate_text, summary

#: Bytes of a file that is not read once more for a picture.
LARGEST = 2_000_000_000


def predicted_engine(report: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The kernels with their traffic and their time on the first default GPU.

    `report` is that of run.json.  None where it names no ONNX file, a very large one, or one of
    which nothing can be predicted: the page does without.
    """
    files = [Path(name) for name in (report or {}).get("files") or ()]
    if not files or not files[0].is_file() or _size(report) > LARGEST:
        return None
    try:
        return engine_json(predict(files[0]), default_gpus()[0])
    except SparqcError:
        return None


def _size(report: Mapping[str, Any] | None) -> int:
    return int(((report or {}).get("sizes") or {}).get("file_bytes") or 0)


def engine_json(engine: PredictedEngine, gpu: Gpu) -> dict[str, Any]:
    """Plain data: a sentence on the engine, and its kernels."""
    first = next(iter(summary(engine, ())), "")
    times = [kernel_seconds(kernel, gpu) for kernel in as_built(engine).kernels]
    return {
        "target": engine.target,
        "gpu": gpu.name,
        "summary": f"{first}. {estimate_text(estimate(engine, gpu))}.",
        "kernels": [_kernel(k, time) for k, time in zip(engine.kernels, times, strict=True)],
    }


def _kernel(kernel: PredictedKernel, seconds: float) -> dict[str, Any]:
    return {
        "name": kernel.name,
        "module": kernel.module,
        "kind": kernel.kind,
        "values": list(kernel.values),
        "int8": kernel.int8,
        "sparse_pays": kernel.sparse_pays,
        "bytes_read": kernel.bytes_read,
        "bytes_written": kernel.bytes_written,
        "bytes_weights": kernel.weight_bytes,
        "seconds": seconds,
        "note": kernel.note,
    }
