"""Compile a fragment on both roads, and look at the two files with onnx alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch import nn

from sparqc import api
from sparqc.ir.levels.execute import open_runner
from sparqc.job.open import Job
from sparqc.job.result import Result
from sparqc.passes.check.finding import Findings
from sparqc.passes.place.placement import Placement
from sparqc.pipeline import run as pipeline
from sparqc.pipeline.action import Action
from sparqc.rewrite.facts import Facts
from sparqc.tools.engine.rtx import compile_rtx
from tests.zoo.structure import Structure

TARGET = "tensorrt-rtx"
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
#: `max` measures one number, so that both roads find the same scales.
BEFORE = 'cleanup, fold, attention, place, calibrate{method="max"}'
BEHIND = "surgery, cleanup, record, check"


class Function(nn.Module):
    """A forward function over named layers."""

    def __init__(self, forward: Callable[..., Any], **layers: Any) -> None:
        super().__init__()
        for name, made in layers.items():
            setattr(self, name, made)
        self.function = forward

    def forward(self, x: torch.Tensor, *more: torch.Tensor) -> Any:
        return self.function(self, x, *more)


def conv(cin: int = 32, cout: int = 32, size: int = 3, **options: Any) -> nn.Conv2d:
    """A convolution that keeps the size of its input."""
    return nn.Conv2d(cin, cout, size, padding=size // 2, **options)


def image(channels: int = 32, size: int = 8) -> torch.Tensor:
    """A batch of two feature maps."""
    return torch.randn(2, channels, size, size)


class File:
    """A finished file: which values are quantized, who reads them, and with which scale."""

    def __init__(self, compiled: Result) -> None:
        self.compiled = compiled
        self.graph = Structure(compiled.model)
        self.plan = compiled.context.facts[Placement]

    @cached_property
    def reads(self) -> dict[str, set[str]]:
        """Each quantized activation, and the nodes that read it dequantized."""
        found: dict[str, set[str]] = {}
        for quantize in self.graph.of("QuantizeLinear"):
            for reader in self._behind(quantize.output[0]):
                found.setdefault(quantize.input[0], set()).add(reader)
        return found

    def _behind(self, codes: str) -> list[str]:
        dequantized = [n.output[0] for n in self.graph.nodes if codes in n.input]
        return [n.name for n in self.graph.nodes for name in n.input if name in dequantized]

    @property
    def one_scale(self) -> set[str]:
        """The quantized activations that read one constant as their scale, with spaces between."""
        found: dict[str, list[str]] = {}
        for quantize in self.graph.of("QuantizeLinear"):
            found.setdefault(quantize.input[1], []).append(quantize.input[0])
        return {" ".join(sorted(names)) for names in found.values() if len(names) > 1}

    def scale(self, value: str) -> float:
        """The scale of a quantized activation."""
        (quantize,) = (n for n in self.graph.of("QuantizeLinear") if n.input[0] == value)
        return float(self.graph.constants[quantize.input[1]])

    @property
    def int8(self) -> set[str]:
        """The weighted operators whose data and weights are INT8."""
        weighted = (n for n in self.graph.of(*WEIGHTED) if self.graph.codes(n) is not None)
        return {n.name for n in weighted} - set(self.graph.in_float())

    @property
    def reasons(self) -> dict[str, str]:
        """Why a layer stays in float, by its name in the plan."""
        return {row.name: row.reason for row in self.plan.layers if not row.int8}

    def run(self, inputs: tuple[torch.Tensor, ...]) -> list[np.ndarray]:
        """The outputs of onnxruntime, nothing optimized."""
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 2
        session = ort.InferenceSession(self.compiled.model.SerializeToString(), options)
        names = [i.name for i in session.get_inputs()]
        return session.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))


@dataclass
class Roads:
    """One module, compiled from PyTorch and from its float ONNX file."""

    module: nn.Module
    inputs: tuple[torch.Tensor, ...]
    fx: File
    onnx: File
    #: torch's outputs of the calibrated FX graph, with its fake quantizers.
    reference: Sequence[np.ndarray]


def both(module: nn.Module, *inputs: torch.Tensor, target: str = TARGET, **options: Any) -> Roads:
    """The module compiled on both roads, calibrated on the inputs themselves."""
    made = api.make_options(passes=BEFORE, target=target, **options)
    batch = [x.numpy() for x in inputs]
    job = api.new_job(module.eval(), inputs, calibration=lambda: [batch], options=made)
    exported = _float_file(job)
    job.graph = pipeline.run(job.pipeline, job.graph, job.context)
    reference, _ = open_runner(job.graph, job.context.table).run(batch)
    job.pipeline = pipeline.parse(f"export, {BEHIND}")
    fx = File(api.run_job(job))
    made = api.make_options(passes=f"{BEFORE}, {BEHIND}", target=target, **options)
    onnx = api.compile(exported, inputs, calibration=lambda: [batch], options=made)
    return Roads(module, inputs, fx, File(onnx), reference)


def _float_file(job: Job) -> Any:
    """The float ONNX file of a model that was captured."""
    line = pipeline.parse("cleanup, fold, export, surgery, cleanup")
    context = replace(job.context, knobs={}, exclude=(), action=Action(), facts=Facts())
    return api.run_job(Job(job.graph.clone(), line, context)).model


def same_numbers(roads: Roads) -> None:
    """99.9 % of the elements of both files lie within one output step of the reference."""
    with torch.no_grad():
        exact = roads.module(*roads.inputs)
    exact = [y.numpy() for y in (exact if isinstance(exact, (tuple, list)) else (exact,))]
    for file in (roads.fx, roads.onnx):
        for fake, given, real in zip(roads.reference, file.run(roads.inputs), exact, strict=True):
            step = np.abs(fake).max() / 127
            assert (np.abs(fake - given) <= step).mean() >= 0.999
            assert np.abs(fake - real).mean() <= 0.1 * np.abs(real).mean()  # it is the model still


def the_compiler_agrees(file: File) -> None:
    """TensorRT-RTX takes the file, and runs in INT8 what it says."""
    report = compile_rtx(file.compiled.model)
    assert report.accepted, report.errors
    assert set(report.int8_nodes) == file.int8


def shown(reads: dict[str, set[str]]) -> dict[str, str]:
    """The readers of each value as text."""
    return {value: " ".join(sorted(readers)) for value, readers in reads.items()}


def hold(
    module: nn.Module,
    *inputs: torch.Tensor,
    reads: dict[str, str],
    floats: dict[str, str] | None = None,
    one_scale: Sequence[str] = (),
    onnx_reads: dict[str, str] | None = None,
    **options: Any,
) -> Roads:
    """Compile a fragment on both roads and hold it to all that is said about it.

    `reads`: each quantized activation -> the nodes that read it dequantized, sorted.  `floats`:
    layers that stay in float -> how the reason begins.  `one_scale`: values that share a scale.
    `onnx_reads`: as `reads`, where an ONNX file spells the fragment in another way.
    """
    roads = both(module, *(inputs or (image(),)), **options)
    fx, onnx = roads.fx, roads.onnx
    assert shown(fx.reads) == reads
    assert shown(onnx.reads) == (onnx_reads or reads)
    reasons, floats = fx.reasons, floats or {}
    assert reasons.keys() == floats.keys(), reasons
    assert all(reasons[name].startswith(floats[name]) for name in floats), reasons
    assert fx.one_scale == set(one_scale)
    assert len(onnx.one_scale) == len(one_scale)
    assert onnx.int8 == fx.int8
    if onnx_reads is None:
        assert onnx.graph.operators() == fx.graph.operators()
    for file in (fx, onnx):
        found = file.compiled.context.facts[Findings].findings
        assert [f for f in found if f.grade != "note"] == []
    same_numbers(roads)
    the_compiler_agrees(fx)
    return roads
