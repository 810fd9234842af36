"""What classic TensorRT and TensorRT-RTX have in common: log, parser, configuration, build.

`trt` is the module of either library; both offer the same Python interface up to here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sparqc.ir.input_shapes import ShapeRange
from sparqc.tools.engine.messages import builder_messages, parser_errors
from sparqc.tools.engine.onnx_source import OnnxSource
from sparqc.tools.engine.report import CompilerMessage, EngineReport


@cache
def log_type(trt: Any) -> Any:
    """A class of loggers that keep errors, warnings and layer listings, and print nothing.

    Each compilation has a logger of its own, which its builder keeps alive.
    """

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []
            self.warnings: list[str] = []
            self.listings: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity.name in ("ERROR", "INTERNAL_ERROR"):
                self.errors.append(message)
            elif severity.name == "WARNING":
                self.warnings.append(message)
            elif message.startswith("Layers:"):
                self.listings.append(message)

    return Log


def empty_report(
    target: str, compiler: str, ranges: Mapping[str, ShapeRange], sparse: bool
) -> EngineReport:
    """The report of an engine that is not built yet."""
    shapes = tuple((name, r.opt) for name, r in ranges.items())
    batch = next((dims[0] for _, dims in shapes if dims), None)
    return EngineReport(
        target, compiler, accepted=False, shapes=shapes, batch=batch, sparsity_enabled=sparse
    )


@dataclass
class Network:
    """A parsed network, with everything that has to live as long as it does."""

    trt: Any
    source: OnnxSource
    log: Any
    builder: Any
    network: Any
    parser: Any
    errors: tuple[CompilerMessage, ...]


def parse_network(trt: Any, source: OnnxSource) -> Network:
    """Parse a model into a strongly typed network; `errors` says what the parser refused."""
    log = log_type(trt)()
    builder = trt.Builder(log)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, log)
    data = source.serialize()
    parsed = parser.parse(data, str(source.path)) if source.path else parser.parse(data)
    errors = () if parsed else parser_errors(parser, source)
    return Network(trt, source, log, builder, network, parser, errors)


def _network_flags(trt: Any) -> int:
    """Strong typing where the library knows it (from 9.x), explicit batch in TensorRT 8."""
    flags = trt.NetworkDefinitionCreationFlag
    name = "STRONGLY_TYPED" if strongly_typed(trt) else "EXPLICIT_BATCH"
    return 1 << int(getattr(flags, name))


def strongly_typed(trt: Any) -> bool:
    """Whether this library builds strongly typed networks; TensorRT 8 does not."""
    return hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")


@dataclass(frozen=True)
class Built:
    """The outcome of one build: the plan (None where it was refused) and what was logged."""

    plan: Any
    listing: str
    errors: tuple[CompilerMessage, ...]
    warnings: tuple[CompilerMessage, ...]


def build_plan(
    net: Network, ranges: Mapping[str, ShapeRange], sparse: bool, capability: Any = None
) -> Built:
    """Build a parsed network for the given input shapes.

    `capability` is a `ComputeCapability` to compile for without that GPU (TensorRT-RTX only).
    """
    log = net.log
    log.errors, log.warnings, log.listings = [], [], []
    config = _config(net, ranges, sparse, capability)
    plan = net.builder.build_serialized_network(net.network, config)
    errors = () if plan is not None else builder_messages(log.errors, net.source)
    if plan is None and not errors:
        errors = (CompilerMessage("the compiler gave up without saying why"),)
    return Built(plan, "\n".join(log.listings), errors, builder_messages(log.warnings, net.source))


def _config(net: Network, ranges: Mapping[str, ShapeRange], sparse: bool, capability: Any) -> Any:
    trt = net.trt
    config = net.builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if capability is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(capability, 0)
    if sparse:
        config.set_flag(trt.BuilderFlag.SPARSE_WEIGHTS)
    if not strongly_typed(trt):
        # TensorRT 8 takes INT8 only where it is allowed to, Q/DQ or not.
        config.set_flag(trt.BuilderFlag.INT8)
        config.set_flag(trt.BuilderFlag.FP16)
    if _is_dynamic(net.network):
        config.add_optimization_profile(_profile(net, ranges))
    return config


def _is_dynamic(network: Any) -> bool:
    return any(-1 in tuple(network.get_input(i).shape) for i in range(network.num_inputs))


def _profile(net: Network, ranges: Mapping[str, ShapeRange]) -> Any:
    profile = net.builder.create_optimization_profile()
    for index, shape in enumerate(ranges.values()):
        # The parser renames an input that is an output too; the order stays.
        name = net.network.get_input(index).name
        profile.set_shape(name, shape.min, shape.opt, shape.max)
    return profile
