"""TensorRT-RTX: a real compiler for Q/DQ graphs that needs no GPU.

It shares TensorRT's ONNX parser and Q/DQ rules, and builds ahead of time on any machine.  Its
fusions are its own, and it picks tactics (sparse ones too) only at run time: it is the judge of
what is legal, what runs in INT8 and how many bytes move, not of speed.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial, reduce
from pathlib import Path
from typing import Any

from sparqc.errors import SparqcError, UsageError
from sparqc.ir.input_shapes import ShapeRange, Shapes, input_ranges
from sparqc.tools.engine.int8_coverage import operators_as_built, weakest
from sparqc.tools.engine.kernel import constant_bytes
from sparqc.tools.engine.listings.rtx_listing import parse_listing
from sparqc.tools.engine.messages import type_errors
from sparqc.tools.engine.network import Built, build_plan, empty_report, log_type, parse_network
from sparqc.tools.engine.onnx_source import Model, OnnxSource, read_source
from sparqc.tools.engine.onnx_weights import weighted_nodes
from sparqc.tools.engine.plan_file import check_writable, write_plan
from sparqc.tools.engine.report import EngineReport
from sparqc.tools.engine.targets import RTX

#: The target of this backend.

#: The compute capability that is compiled for where nobody names one: RTX 30, A10, A40.
DEFAULT_SM = 86


def compile_rtx(
    model: Model,
    *,
    sm: int = DEFAULT_SM,
    batch: int | None = None,
    shapes: Shapes | None = None,
    sparse: bool = True,
    output: Path | None = None,
) -> EngineReport:
    """Compile an ONNX model with TensorRT-RTX and say what it made of it.

    Args:
        model: a path or a model in memory.
        sm: compute capability, 86 for SM86.
        batch: the usual size of a free batch dimension, 8 if None; the engine takes 1 to it.
        shapes: input name -> one exact shape, or a `ShapeRange`.
        sparse: allow sparse tactics for weights that are 2:4.
        output: where to write the engine; not written where the compiler refuses.

    Kernels, sizes and traffic are those of a build for the usual shapes alone.  A model with
    free dimensions is also built for their whole range: that engine is the one written, and an
    operator counts as INT8 only if both builds run it so.

    Raises:
        SparqcError: TensorRT-RTX is not installed, or the model or the output cannot be used.
        UsageError: an unknown `sm`, or shapes that do not fit.
    """
    trt = load_rtx()
    capability = _capability(trt, sm)
    if output:
        check_writable(output)
    source = read_source(model)
    ranges = input_ranges(source.inputs, batch, shapes)
    start = time.perf_counter()
    report = _compile(trt, source, ranges, sparse, capability, output)
    seconds = time.perf_counter() - start
    return replace(report, compute_capability=sm, build_seconds=round(seconds, 3))


def load_rtx() -> Any:
    """The module of TensorRT-RTX.

    Raises:
        SparqcError: where it is not installed, with what to install.
    """
    for name in ("tensorrt_rtx_bindings", "tensorrt_rtx"):
        try:
            return importlib.import_module(name)
        except (ImportError, OSError) as error:
            cause = error
    raise SparqcError(
        f"TensorRT-RTX is not installed ({cause})",
        hint="install it with: pip install 'sparqc[rtx]'  (no GPU is needed)",
    ) from cause


def known_capabilities(trt: Any) -> tuple[int, ...]:
    """The compute capabilities that this TensorRT-RTX compiles for: 86 for SM86."""
    names = trt.ComputeCapability.__members__
    return tuple(sorted(int(n[2:]) for n in names if n.startswith("SM")))


def _capability(trt: Any, sm: int) -> Any:
    known = known_capabilities(trt)
    if sm not in known:
        raise UsageError(
            f"TensorRT-RTX {trt.__version__} does not compile for SM{sm}",
            hint=f"known: {', '.join(map(str, known))}",
        )
    return getattr(trt.ComputeCapability, f"SM{sm}")


def _compile(
    trt: Any,
    source: OnnxSource,
    ranges: Mapping[str, ShapeRange],
    sparse: bool,
    capability: Any,
    output: Path | None,
) -> EngineReport:
    report = empty_report(RTX, f"TensorRT-RTX {trt.__version__}", ranges, sparse)
    if refused := type_errors(source.model, RTX):
        return replace(report, errors=refused)
    net = parse_network(trt, source)
    if net.errors:
        return replace(report, errors=net.errors)
    builds = _builds(partial(build_plan, net, sparse=sparse, capability=capability), ranges)
    report = replace(report, warnings=builds[0].warnings, errors=builds[-1].errors)
    if report.errors:
        _settle(trt)
        return report
    if output:
        write_plan(output, builds[0].plan)
    return _described(report, source, builds)


def _settle(trt: Any) -> None:
    """Build a network of one layer, and forget it.

    After a build that failed inside its compiler, TensorRT-RTX 1.7 builds the next network of
    the process for the capability of the failed one (seen: SM75 refused, and the SM86 build
    after it ran its convolutions in float, like SM75).  This network takes that turn.
    """
    builder = trt.Builder(log_type(trt)())
    network = builder.create_network(0)
    value = network.add_input("x", trt.float32, (1,))
    network.mark_output(network.add_identity(value).get_output(0))
    builder.build_serialized_network(network, builder.create_builder_config())


def _builds(
    build: Callable[[Mapping[str, ShapeRange]], Built], ranges: Mapping[str, ShapeRange]
) -> list[Built]:
    """The engine for the whole range and, where that is more than one shape, one for the usual.

    Only a build for one shape lists sizes instead of -1.  The last one tells if any was refused.
    """
    engine = build(ranges)
    if engine.plan is None or all(r.fixed for r in ranges.values()):
        return [engine]
    return [engine, build({name: r.at_opt() for name, r in ranges.items()})]


def _described(report: EngineReport, source: OnnxSource, builds: list[Built]) -> EngineReport:
    """The report of an accepted engine: its kernels, and what became of each weighted node."""
    nodes = weighted_nodes(source.model)
    listings = [parse_listing(b.listing) for b in builds]
    operators = reduce(weakest, (operators_as_built(nodes, kernels) for kernels in listings))
    return replace(
        report,
        accepted=True,
        kernels=tuple(source.kernel_as_known(k) for k in listings[-1]),
        operators=tuple(replace(o, node=source.known_as(o.node)) for o in operators),
        # A build for one shape also keeps what it could fold for that shape, such as padding.
        weight_bytes=constant_bytes(listings[0]),
        plan_bytes=builds[0].plan.nbytes,
    )
