"""One architecture compiled, and what TensorRT-RTX makes of it beside what was planned."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

import onnx

import sparqc
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.place.placement import Placement
from sparqc.pipeline.library import rulebook
from sparqc.predict.engine import PredictedEngine
from sparqc.tools.engine.onnx_weights import weighted_nodes
from sparqc.tools.engine.report import EngineReport
from sparqc.tools.engine.rtx import compile_rtx
from sparqc.tools.explain.prediction import predict
from tests.zoo.architecture import Architecture
from tests.zoo.structure import Structure

TARGET = "tensorrt-rtx"
#: The batch that is counted for, where a model takes any.
BATCH = 2


@dataclass(frozen=True)
class Agreement:
    """What was planned for one architecture, and what the compiler did."""

    name: str
    source: str
    parameters: int
    #: How many weighted nodes the file has.
    weighted: int
    #: What `sparqc explain` expects of the file.
    expected: PredictedEngine
    #: Why weighted operators stay in float, and how many for each reason.
    reasons: Counter[str]
    #: How many layers were masked 2:4, and how many are in the file.
    masked: int
    sparse: int
    #: Of the float export against the module, in dB.
    export_snr: float
    report: EngineReport
    #: The same network, dense, placed without fused residual Adds and without shared scales.
    plain: EngineReport
    seconds: float = field(compare=False)

    @property
    def traffic(self) -> int:
        return traffic(self.report)

    @property
    def plain_traffic(self) -> int:
        return traffic(self.plain)


def traffic(report: EngineReport) -> int:
    """Bytes of activations that all kernels read and write."""
    return report.bytes_read + report.bytes_written


@cache
def plain_rules() -> tuple[str, ...]:
    """What is switched off to compare with: the fusions of residual Adds, and every share."""
    return ("conv_add_act", "add", *(share.name for share in rulebook().shares("onnx", TARGET)))


@cache
def measure(architecture: Architecture) -> Agreement:
    """Compile an architecture, and a float and a plainly placed twin of it; takes seconds.

    Floats are FP32, so that bytes are those of the placement alone.
    """
    start = time.process_time()
    net, inputs = architecture.build()
    options = {"target": TARGET, "random_calibration": True, "float": "fp32"}
    done = sparqc.compile(
        net, inputs, dynamic_batch=architecture.dynamic, passes="all-sparse", **options
    )
    exported = sparqc.compile(
        net, inputs, dynamic_batch=architecture.dynamic, passes="float", target=TARGET
    )
    plain = sparqc.compile(exported.model, inputs, passes="int8", skip=plain_rules(), **options)
    graph = Structure(done.model)
    return Agreement(
        architecture.name,
        architecture.source,
        sum(p.numel() for p in net.parameters()),
        len(weighted_nodes(done.model)),
        predict(done.model, TARGET, batch=batch_of(done.model)),
        reasons(done),
        len(done.context.facts[Pruning].masks),
        sum(map(graph.is_two_four, graph.of("Conv", "Gemm", "MatMul"))),
        exported.difference.snr_db,
        build(done.model),
        build(plain.model),
        time.process_time() - start,
    )


def in_half(architecture: Architecture) -> tuple[PredictedEngine, EngineReport]:
    """What is expected of the network with floats in FP16, as they are without a wish, and what the
    compiler makes of it."""
    net, inputs = architecture.build()
    done = sparqc.compile(
        net, inputs, dynamic_batch=architecture.dynamic, passes="int8", target=TARGET,
        random_calibration=True,
    )  # fmt: skip
    return predict(done.model, TARGET, batch=batch_of(done.model)), build(done.model)


def reasons(done: sparqc.Compiled) -> Counter[str]:
    """Why the weighted operators that stay in float do so."""
    return Counter(
        layer.reason
        for layer in done.context.facts[Placement].layers
        if layer.weight and layer.reason
    )


def batch_of(model: onnx.ModelProto) -> int | None:
    """The batch that is counted for, None where the model has one of its own."""
    free = any(d.dim_param for i in model.graph.input for d in i.type.tensor_type.shape.dim)
    return BATCH if free else None


def build(model: onnx.ModelProto) -> EngineReport:
    """What TensorRT-RTX makes of a model."""
    return compile_rtx(model, batch=batch_of(model))
