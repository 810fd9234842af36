"""`sparqc.prepare`: a module with masks and fake quantizers, for any training loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from sparqc.api import Options, make_options, new_job
from sparqc.engine.events import Observer
from sparqc.errors import SparqcError, UsageError
from sparqc.ir.constants import constant_value, is_constant
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.table import OperatorTable
from sparqc.ranks import ALONE, Ranks
from sparqc.training.fake_quantize import weight_scale
from sparqc.training.front import Front, uncalibrated_scales
from sparqc.training.measure import measure_statistics
from sparqc.training.normalization import Normalization, normalizations, operand
from sparqc.training.prepared import Batches, Prepared, Recipe
from sparqc.training.unfold import Unfolding
from sparqc.training.writing import TrainingWriter

if TYPE_CHECKING:
    from sparqc.passbase import Progress


def prepare(
    module: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    *,
    calibration: Batches | None = None,
    batch_norm: Literal["live", "folded"] = "live",
    learned_scales: bool = False,
    options: Options | None = None,
    progress: Progress | None = None,
    dynamic_batch: bool = True,
    observers: Sequence[Observer] = (),
    ranks: Ranks = ALONE,
    **wishes: object,
) -> Prepared:
    """A copy of a module with masks and fake quantizers inside, to be trained and `finish`ed.

    The passes of the pipeline (`passes=`, `target=`, … as in `sparqc.compile`) run up to the
    export, on the module in eval mode: which layers are quantized, which are masked and what the
    scales are is what `sparqc.compile` would have decided.  The user's module stays as it is.

    With `batch_norm="live"` every BatchNorm that was folded stands behind its layer again: in train
    mode it normalises with the batch and follows its statistics, in eval mode it is the factor and
    offset that it was.  With `"folded"` it stays part of the weights.

    The scales of weights follow the weights, max|w| / 127 for each channel in each forward; those
    of activations stay as measured.  With `learned_scales` both are parameters, trained as Esser et
    al., Learned Step Size Quantization (ICLR 2020) do.

    Where several processes train together, each calls this at once with the same module and data;
    with `ranks` (`sparqc.process_group.current_ranks()`) they share the calibration.

    Raises UsageError for an ONNX model, and for a pipeline without quantizers or without an export;
    SparqcError where `sparqc.compile` would.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"prepare takes a PyTorch module, not {type(module).__name__}: an ONNX graph does not "
            "train",
            hint="give the module that the graph was exported from",
        )
    if batch_norm not in ("live", "folded"):
        raise UsageError(f'batch_norm is "live" or "folded", not {batch_norm!r}')
    job = new_job(
        module,
        inputs,
        calibration=calibration,
        options=options or make_options(**wishes),
        progress=progress,
        observers=observers,
        dynamic_batch=dynamic_batch,
        ranks=ranks,
    )
    front = Front(job)
    front.require_rest()
    seen: dict[str, Normalization] = {}
    for _ in front.run():
        seen |= {found.layer: found for found in normalizations(front.graph, job.context.table)}
    _require_quantized(front)
    graph, table = front.graph.clone(), job.context.table
    unfolding = Unfolding(graph, table)
    models = _models(module)
    if batch_norm == "live":
        unfolding.put_back(f for f in seen.values() if _model(f.constants["mean"], models))
        if unfolding.stale:
            measure_statistics(graph, unfolding.stale, job.context)
    live = dict(_live(graph, models)) if batch_norm == "live" else {}
    trained = learned_scales and frozenset(front.measured)
    written = TrainingWriter(
        graph,
        table,
        live,
        dynamic=frozenset() if trained else frozenset(_following(graph, table)),
        learned=trained or frozenset(),
    ).write()
    recipe = Recipe(
        graph,
        job.context,
        front.rest,
        written,
        unfolded=bool(unfolding.made),
        measured=front.measured,
        notes=job.notes,
    )
    made = Prepared(written.module, recipe)
    weights = next(module.parameters(), None)
    return made if weights is None else made.to(weights.device)


def _require_quantized(front: Front) -> None:
    """UsageError or SparqcError where there is nothing that trains with quantizers."""
    graph, facts = front.graph, front.job.context.facts
    if not any(node.op == "q.qdq" for node in graph.nodes):
        plan = facts.get("place")
        if plan is None:
            raise UsageError(
                f"the pipeline places no quantizers: {front.job.pipeline}",
                hint="to train with masks alone, use sparqc.sparsify",
            )
        reasons = "; ".join(f"{row.name}: {row.reason}" for row in plan.layers[:3])
        raise SparqcError(f"nothing of the model can be quantized ({reasons or 'no layers'})")
    if unknown := uncalibrated_scales(graph):
        names = ", ".join(sorted(scale.name for scale in unknown)[:3])
        raise UsageError(
            f"the pipeline measures no scales in front of the export: {names} …",
            hint="put `calibrate` behind `place`",
        )


# -- BatchNorm ----------------------------------------------------------------------------------


def _models(module: nn.Module) -> dict[str, BatchNorm]:
    """The user's BatchNorms by the name of their running mean."""
    parts = module.named_modules(remove_duplicate=False)
    return {
        f"{name}.running_mean".removeprefix("."): part
        for name, part in parts
        if isinstance(part, BatchNorm)
    }


def _model(mean: Any, models: Mapping[str, BatchNorm]) -> BatchNorm | None:
    """The user's module that holds a mean; None for a BatchNorm that is frozen by construction."""
    return models.get(mean.name) if mean is not None else None


def _live(graph: Graph, models: Mapping[str, BatchNorm]) -> Iterator[tuple[str, BatchNorm]]:
    for node in graph.nodes:
        if node.op == "nn.batch_norm":
            model = _model(operand(node, "mean"), models)
            if model is not None and operand(node, "var") is not None:
                _complete(graph, node)
                yield node.output.name, model


def _complete(graph: Graph, node: Node) -> None:
    """A BatchNorm has a scale and a bias, or neither: nn.BatchNorm knows nothing between."""
    mean = cast(Value, operand(node, "mean"))
    data = cast(Array, mean.data)
    if operand(node, "scale") is None and operand(node, "bias") is not None:
        graph.set_operand(node, "scale", graph.constant(np.ones_like(data), "bn_scale"))
    if operand(node, "bias") is None and operand(node, "scale") is not None:
        graph.set_operand(node, "bias", graph.constant(np.zeros_like(data), "bn_bias"))


# -- scales -------------------------------------------------------------------------------------


def _following(graph: Graph, table: OperatorTable) -> Iterator[str]:
    """The scales that are max|w| / 127 of their weight, and stay so while it trains.

    One that another method has chosen stays as it is.
    """
    for node in graph.nodes:
        x, scale = operand(node, "x"), operand(node, "scale")
        if node.op != "q.qdq" or x is None or scale is None or not is_constant(x, table):
            continue
        if len(scale.readers) != 1:
            continue
        data = torch.from_numpy(np.array(constant_value(x, table), np.float32))
        axis = cast("int | None", node.attributes["axis"])
        expected = weight_scale(data, axis, cast(int, node.attributes["high"])).numpy()
        if np.allclose(expected, cast(Array, scale.data), rtol=1e-3):
            yield scale.name
