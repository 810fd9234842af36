"""Classic TensorRT: builds on the GPU of this machine, and reads what it built.

Unlike TensorRT-RTX it times its tactics while it builds, so the engine says which of them are
sparse; and it needs the GPU to do so.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparqc.errors import SparqcError
from sparqc.ir.input_shapes import ShapeRange, Shapes, input_ranges
from sparqc.tools.engine.int8_coverage import operators_as_built
from sparqc.tools.engine.kernel import constant_bytes
from sparqc.tools.engine.listings.inspector import parse_inspector
from sparqc.tools.engine.messages import type_errors
from sparqc.tools.engine.network import Network, build_plan, empty_report, parse_network
from sparqc.tools.engine.onnx_source import Model, OnnxSource, read_source
from sparqc.tools.engine.onnx_weights import weighted_nodes
from sparqc.tools.engine.plan_file import check_writable, write_plan
from sparqc.tools.engine.report import EngineReport

_NEEDS_GPU = "use --target tensorrt-rtx on a machine without one"


def compile_trt(
    model: Model,
    *,
    target: str = "tensorrt",
    batch: int | None = None,
    shapes: Shapes | None = None,
    sparse: bool = True,
    output: Path | None = None,
    trt: Any = None,
) -> EngineReport:
    """Build an engine for the GPU of this machine and read it with the engine inspector.

    Args:
        model: a path or a model in memory.
        target: `tensorrt`, or `tensorrt-10` and the like to insist on a version.
        batch: the usual size of a free batch dimension, 8 if None; the engine takes 1 to it.
        shapes: input name -> one exact shape, or a `ShapeRange`.
        sparse: allow sparse tactics for weights that are 2:4.
        output: where to write the engine; not written where TensorRT refuses.
        trt: the module to use instead of the installed `tensorrt`.

    Raises:
        SparqcError: TensorRT or the GPU is missing, or the model or the output cannot be used.
        UsageError: shapes that do not fit.
    """
    trt = trt or load_trt(target)
    if output:
        check_writable(output)
    source = read_source(model)
    ranges = input_ranges(source.inputs, batch, shapes)
    start = time.perf_counter()
    report = empty_report(target, f"TensorRT {trt.__version__}", ranges, sparse)
    report = _compile(trt, source, ranges, report, output)
    return replace(report, build_seconds=round(time.perf_counter() - start, 3))


def load_trt(target: str = "tensorrt") -> Any:
    """The module of TensorRT.

    Raises:
        SparqcError: where it is not installed, or is not the version that the target names.
    """
    try:
        trt = importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        raise SparqcError(
            f"TensorRT is not installed ({error})",
            hint="install it with: pip install tensorrt  (it also needs an NVIDIA GPU); "
            "without a GPU, --target tensorrt-rtx does most of this: pip install 'sparqc[rtx]'",
        ) from error
    wanted = target.removeprefix("tensorrt").strip("-")
    if wanted and f"{trt.__version__}.".startswith(f"{wanted}.") is False:
        raise SparqcError(
            f"TensorRT {trt.__version__} is installed, and the target is {target}",
            hint=f"install it with: pip install 'tensorrt=={wanted}.*'",
        )
    return trt


def _compile(
    trt: Any,
    source: OnnxSource,
    ranges: Mapping[str, ShapeRange],
    report: EngineReport,
    output: Path | None,
) -> EngineReport:
    if refused := type_errors(source.model, report.target):
        return replace(report, errors=refused)
    net = _parsed(trt, source)
    if net.errors:
        return replace(report, errors=net.errors)
    built = build_plan(net, ranges, report.sparsity_enabled)
    report = replace(report, errors=built.errors, warnings=built.warnings)
    if built.plan is None:
        return report
    kernels = parse_inspector(_inspect(net, built.plan, ranges))
    if output:
        write_plan(output, built.plan)
    operators = operators_as_built(weighted_nodes(source.model), kernels)
    return replace(
        report,
        accepted=True,
        compute_capability=_gpu_capability(),
        kernels=tuple(source.kernel_as_known(k) for k in kernels),
        operators=tuple(replace(o, node=source.known_as(o.node)) for o in operators),
        weight_bytes=constant_bytes(kernels),
        plan_bytes=built.plan.nbytes,
    )


def _parsed(trt: Any, source: OnnxSource) -> Network:
    try:
        return parse_network(trt, source)
    except (TypeError, RuntimeError) as error:
        # The bindings turn the missing driver into "factory function returned nullptr".
        raise SparqcError(f"TensorRT does not start: {error}", hint=_NEEDS_GPU) from error


def _inspect(net: Network, plan: Any, ranges: Mapping[str, ShapeRange]) -> str:
    """The engine inspector's JSON for the usual shapes."""
    trt = net.trt
    runtime = trt.Runtime(net.log)
    engine = runtime.deserialize_cuda_engine(plan) if runtime else None
    if engine is None:
        raise SparqcError(
            "the engine was built and cannot be loaded: no usable NVIDIA GPU", hint=_NEEDS_GPU
        )
    context = engine.create_execution_context()
    for name, shape in ranges.items():
        context.set_input_shape(name, shape.opt)
    inspector = engine.create_engine_inspector()
    inspector.execution_context = context
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def _gpu_capability() -> int | None:
    """The compute capability of the GPU, if this torch can tell: 86 for SM86."""
    import torch

    if not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability()
    return major * 10 + minor
