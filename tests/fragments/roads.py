"""Compile a fragment on both roads, and look at the two files with onnx alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch import nn
from zoo.structure import Structure

import sparqc
from sparqc import api, pipeline
from sparqc.api import Compiled
from sparqc.ir.execute import open_runner
from sparqc.tools.rtx import compile_rtx

TARGET = "tensorrt-rtx"
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
#: `max` measures one number, so that both roads find the same scales.
PASSES = 'cleanup, fold, place, calibrate{method="max"}, export, surgery, cleanup, check'


class Function(nn.Module):
    """A forward function over named layers."""

    def __init__(self, forward: Callable[..., Any], **layers: Any) -> None:
        super().__init__()
        for name, made in layers.items():
            setattr(self, name, made)
        self.function = forward

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(self, *inputs)


def conv(cin: int = 32, cout: int = 32, size: int = 3, **options: Any) -> nn.Conv2d:
    """A convolution that keeps the size of its input."""
    return nn.Conv2d(cin, cout, size, padding=size // 2, **options)


def image(channels: int = 32, size: int = 8) -> torch.Tensor:
    """A batch of two feature maps."""
    return torch.randn(2, channels, size, size)


class File:
    """A finished file: which values are quantized, who reads them, and with which scale."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.graph = Structure(compiled.model)
        self.plan = compiled.context.facts["place"]

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
    def scales(self) -> dict[str, float]:
        """The scale of each quantized activation."""
        quantizers = self.graph.of("QuantizeLinear")
        return {n.input[0]: float(self.graph.constants[n.input[1]]) for n in quantizers}

    @property
    def int8(self) -> set[str]:
        """The weighted operators whose data and weights are INT8."""
        return {n.name for n in self.graph.of(*WEIGHTED)} - set(self.graph.in_float())

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
    options: dict[str, Any]
    fx: File
    onnx: File

    def fake_quantized(self) -> list[np.ndarray]:
        """torch's outputs of the calibrated FX graph: what the files have to compute."""
        options = api.make_options(**self.options)
        batch = [x.numpy() for x in self.inputs]
        prepared = api.prepare(
            self.module, self.inputs, calibration=lambda: [batch], options=options
        )
        steps = [str(step) for step in prepared.pipeline.steps]
        head = pipeline.parse(", ".join(steps[: steps.index("export")]))
        graph = pipeline.run(head, prepared.graph, prepared.context)
        outputs, _ = open_runner(graph, prepared.context.table).run(batch)
        return outputs


def both(module: nn.Module, *inputs: torch.Tensor, passes: str = PASSES, **options: Any) -> Roads:
    """The module compiled on both roads, calibrated on the inputs themselves."""
    module = module.eval()
    options = {"passes": passes, "target": TARGET, **options}
    batches = [[x.numpy() for x in inputs]]
    fx = sparqc.compile(module, inputs, calibration=lambda: batches, **options)
    exported = sparqc.compile(module, inputs, passes="float", target=TARGET).model
    onnx = sparqc.compile(exported, inputs, calibration=lambda: batches, **options)
    return Roads(module, inputs, options, File(fx), File(onnx))


def same_numbers(roads: Roads) -> None:
    """99.9 % of the elements of both files lie within one output step of the reference."""
    reference = roads.fake_quantized()
    with torch.no_grad():
        exact = roads.module(*roads.inputs)
    exact = [y.numpy() for y in (exact if isinstance(exact, (tuple, list)) else (exact,))]
    for file in (roads.fx, roads.onnx):
        for wanted, given, real in zip(reference, file.run(roads.inputs), exact, strict=True):
            step = np.abs(wanted).max() / 127
            assert (np.abs(wanted - given) <= step).mean() >= 0.999
            assert np.abs(wanted - real).mean() <= 0.1 * np.abs(real).max()  # and it is the model


def same_structure(roads: Roads) -> None:
    """Both roads lead to the same operators, quantizers and INT8 layers."""
    fx, onnx = roads.fx, roads.onnx
    assert onnx.reads == fx.reads
    assert onnx.int8 == fx.int8
    kinds = [Counter(n.op_type for n in f.graph.nodes) for f in (fx, onnx)]
    assert kinds[0] == kinds[1]


def the_compiler_agrees(file: File) -> None:
    """TensorRT-RTX takes the file, and runs in INT8 what it says."""
    report = compile_rtx(file.compiled.model)
    assert report.accepted, report.errors
    assert set(report.int8_nodes) == file.int8


def hold(
    module: nn.Module,
    *inputs: torch.Tensor,
    reads: dict[str, str],
    floats: dict[str, str] | None = None,
    **options: Any,
) -> Roads:
    """Compile a fragment on both roads and hold it to all that is said about it.

    `reads`: each quantized activation -> the nodes that read it dequantized, with spaces between.
    `floats`: layers that stay in float -> how the reason begins.
    """
    roads = both(module, *(inputs or (image(),)), **options)
    assert {k: " ".join(sorted(v)) for k, v in roads.fx.reads.items()} == {
        k: " ".join(sorted(v.split())) for k, v in reads.items()
    }
    found = roads.fx.reasons
    assert found.keys() == (floats or {}).keys(), found
    for name, reason in (floats or {}).items():
        assert found[name].startswith(reason), found[name]
    same_structure(roads)
    same_numbers(roads)
    the_compiler_agrees(roads.fx)
    return roads
