"""How long a network takes on a GPU, for any choice of how its layers are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from sparqc.declared.gpus import Gpu
from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Graph, Value
from sparqc.ir.onnx.adapter import write_onnx
from sparqc.ir.quantizers import CONVERSIONS
from sparqc.ir.weighted import weight_of
from sparqc.job.layers import Keep
from sparqc.job.open import Job, new_job
from sparqc.job.options import Options
from sparqc.numerics.two_four import two_four_mask
from sparqc.passes.half.widened import ends_in_half
from sparqc.passes.masks.pruning import Pruning
from sparqc.pipeline import run as pipelines
from sparqc.pipeline.run import Pipeline, Step
from sparqc.predict.engine import PredictedEngine, PredictedKernel, Tensor
from sparqc.predict.predict import predict_graph
from sparqc.predict.roofline import estimate
from sparqc.rewrite.context import Context
from sparqc.rewrite.facts import Facts
from sparqc.tools.engine.onnx_source import read_source
from sparqc.tools.explain.prediction import sized
from sparqc.tools.sensitivity.study import Study


class Speed:
    """Predicts seconds for one batch: the estimate of `sparqc explain`.

    The network is placed anew for each choice, as a compile would place it, so that what a float
    layer costs its neighbours (conversions, larger tensors) is part of the figure.  No data is
    needed for that: only the structure counts.
    """

    def __init__(self, study: Study, job: Job, gpu: Gpu, batch: int | None) -> None:
        self.gpu, self.half = gpu, ends_in_half(study.context)
        self._study = study
        self._steps = {step.name: step for step in job.pipeline.steps}
        exported = _exported(study, job)
        source = read_source(write_onnx(exported, study.context.table, origins=False))
        model, notes = sized(source, batch, None)
        opened = new_job(model, options=Options(passes="", target=job.context.target.name))
        self._graph: Graph = _named_like(exported, opened.graph)
        self._context: Context = replace(
            opened.context, rules=job.context.rules, exclude=(), dense=()
        )
        self.shapes = tuple((v.name, v.shape) for v in self._graph.inputs)
        lost = [x.title for x in study.layers if x.name not in self._graph]
        self.notes = (*notes, *(f"no time is predicted for {title}" for title in lost))
        masked = [m.node for layer in study.layers for m in layer.masked]
        for name in masked:
            _mask(self._graph, name, self._context)
        pruned = study.facts.get(Pruning, Pruning()).masks
        self._masked = {name: pruned[name] for name in masked}
        self._excluded = [row.name for row in study.excluded]
        self._known: dict[tuple[str, ...], PredictedEngine] = {}

    def seconds(self, keeps: Mapping[str, Keep]) -> float:
        """For the layers (by the names of `StudyLayer`) kept as given; others as planned."""
        floats = tuple(sorted(name for name, keep in keeps.items() if keep == "float"))
        if floats not in self._known:
            self._known[floats] = self._engine(floats)
        dense = set(self._values(keeps))
        kernels = tuple(
            replace(k, sparse_pays=False) if dense.intersection(k.values) else k
            for k in self._known[floats].kernels
        )
        return estimate(replace(self._known[floats], kernels=kernels), self.gpu).about.sparse

    def _values(self, keeps: Mapping[str, Keep]) -> Iterator[str]:
        for layer in self._study.layers:
            if keeps.get(layer.name, layer.keep) in ("int8", "float"):
                yield from layer.weights

    def _engine(self, floats: tuple[str, ...]) -> PredictedEngine:
        graph = self._graph.clone()
        names = (*self._excluded, *floats)
        exclude = tuple(f"%{name}" for name in names if name in graph)
        facts = Facts(Pruning({n: m for n, m in self._masked.items() if n not in names}))
        context = replace(self._context, exclude=exclude, facts=facts)
        for name in ("knob", "place"):
            if name in self._steps:
                pipelines.run(Pipeline((self._steps[name],)), graph, context)
        _give_scales(graph)
        if "surgery" in self._steps:
            pipelines.run(Pipeline((Step("surgery"),)), graph, context)
        engine = predict_graph(graph, context)
        return _in_half(engine) if self.half else engine


def _exported(study: Study, job: Job) -> Graph:
    """The float network as an ONNX graph."""
    steps = [step for step in job.pipeline.steps if step.cls.gives == "onnx"]
    graph = study.plain.clone()
    if graph.level == "onnx" or not steps:
        return graph
    return pipelines.run(Pipeline((steps[0],)), graph, replace(study.context, facts=Facts()))


def _named_like(exported: Graph, read: Graph) -> Graph:
    """Let the outputs of a graph that was read from a file have their inner names again."""
    for value, name in zip(exported.outputs, exported.output_names, strict=True):
        if name in read and value.name not in read and read.value(name).producer is not None:
            read.rename(read.value(name), value.name)
    return read


def _mask(graph: Graph, name: str, context: Context) -> None:
    """Any 2:4 pattern: only that there is one counts."""
    node = graph.value(name).producer if name in graph else None
    found = weight_of(node, context.table) if node is not None else None
    if node is None or found is None:
        return
    data = constant_value(found.weight, context.table)
    assert data is not None
    masked = (data * two_four_mask(data, found.reduction_axis)).astype(data.dtype)
    graph.set_operand(node, found.operand, graph.constant(masked, f"{found.weight.name}.masked"))


def _give_scales(graph: Graph) -> None:
    """A scale of its own for each scale group; engines are predicted from finished graphs."""
    seen: dict[Value, int] = {}
    for node in graph.nodes:
        scale = node.operands.get("scale")
        if node.op in CONVERSIONS and isinstance(scale, Value) and scale.data is not None:
            if scale not in seen and np.isnan(scale.data).any():
                step = 0.01 + 1e-5 * len(seen)
                scale.data = np.full(scale.data.shape, step, scale.data.dtype)
            seen.setdefault(scale, len(seen))


def _in_half(engine: PredictedEngine) -> PredictedEngine:
    """The float remainder in FP16, as the pass `half` leaves it."""
    return replace(engine, kernels=tuple(map(_half_kernel, engine.kernels)))


def _half_kernel(kernel: PredictedKernel) -> PredictedKernel:
    def half(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(replace(t, dtype="f16") if t.dtype == "f32" else t for t in tensors)

    dtype = "f16" if kernel.dtype == "f32" else kernel.dtype
    return replace(
        kernel,
        inputs=half(kernel.inputs),
        outputs=half(kernel.outputs),
        weights=half(kernel.weights),
        dtype=dtype,
    )
