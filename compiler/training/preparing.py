"""`sparqc.prepare`: a module with masks and fake quantizers, for any training loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from sparqc.base.keywords import keywords_of
from sparqc.errors import SparqcError, UsageError
from sparqc.ir.constants import constant_value, is_constant
from sparqc.ir.graph import Array, Graph
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.job.batches import Calibration, Inputs
from sparqc.job.open import new_job
from sparqc.job.options import Options, make_options
from sparqc.passes.place.placement import Placement
from sparqc.pipeline.events import Listener
from sparqc.ranks.ranks import ALONE, Ranks
from sparqc.training.batch_norms import batch_norm_modules, trained_batch_norms
from sparqc.training.fake_quantize import weight_scale
from sparqc.training.front_end import FrontEnd, uncalibrated_scales
from sparqc.training.measure import measure_statistics
from sparqc.training.normalization import Normalization, normalizations, operand
from sparqc.training.prepared import Prepared, Recipe
from sparqc.training.provenance import hold_requires_grad, sources
from sparqc.training.unfold import Unfolding
from sparqc.training.wrappers import as_written, require_whole, unwrapped
from sparqc.training.writing import TrainingWriter, Written

if TYPE_CHECKING:
    from sparqc.rewrite.context import Progress


def prepare(
    module: nn.Module,
    inputs: Inputs,
    *,
    calibration: Calibration | None = None,
    batch_norm: Literal["live", "folded"] = "live",
    learned_scales: bool = False,
    options: Options | None = None,
    progress: Progress | None = None,
    listeners: Sequence[Listener] = (),
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
    of activations stay as measured.  With `learned_scales` both train, by a parameter
    each that is the logarithm of how far the scale is from the measured one (`learned_step`).

    Where several processes train together, each calls this at once with the same module and data;
    with `ranks` (`sparqc.ranks.process_group.current_ranks()`) they share the calibration.

    Raises UsageError for an ONNX model, and for a pipeline without quantizers or without an export;
    SparqcError where `sparqc.compile` would.
    """
    _check(module, batch_norm)
    module = unwrapped(module)
    require_whole(module, "prepare", "call it first, and fully_shard on what it returns")
    with as_written(module):
        job = new_job(
            module,
            inputs,
            calibration=calibration,
            options=make_options(options, keywords_of(prepare), **wishes),
            progress=progress,
            listeners=listeners,
            ranks=ranks,
        )
    front_end = FrontEnd(job, module)
    front_end.require_rest()
    made_of = sources(front_end.graph, job.context.table)
    seen: dict[str, Normalization] = {}
    for _ in front_end.run():
        seen |= {found.layer: found for found in normalizations(front_end.graph, job.context.table)}
    _require_quantized(front_end)
    models = batch_norm_modules(module) if batch_norm == "live" else {}
    graph, unfolded = _unfolded(front_end, seen.values(), models)
    hold_requires_grad(graph, made_of, job.context.table)
    written = _written(graph, front_end, models, learned_scales)
    made = Prepared(written.module, _recipe(graph, front_end, written, unfolded))
    weights = next(module.parameters(), None)
    return made if weights is None else made.to(weights.device)


def _check(module: object, batch_norm: str) -> None:
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"prepare takes a PyTorch module, not {type(module).__name__}: an ONNX graph does not "
            "train",
            hint="give the module that the graph was exported from",
        )
    if batch_norm not in ("live", "folded"):
        raise UsageError(f'batch_norm is "live" or "folded", not {batch_norm!r}')


def _unfolded(
    front_end: FrontEnd, seen: Iterable[Normalization], models: Mapping[str, BatchNorm]
) -> tuple[Graph, bool]:
    """A copy of the graph with the BatchNorms of modules back behind their layers, and whether
    there are any."""
    graph, context = front_end.graph.clone(), front_end.job.context
    unfolding = Unfolding(graph, context.table)
    unfolding.put_back(found for found in seen if found.mean.name in models)
    if unfolding.stale:
        measure_statistics(graph, unfolding.stale, context)
    return graph, bool(unfolding.made)


def _written(
    graph: Graph, front_end: FrontEnd, models: Mapping[str, BatchNorm], learned_scales: bool
) -> Written:
    table = front_end.job.context.table
    return TrainingWriter(
        graph,
        table,
        batch_norms=dict(trained_batch_norms(graph, models)),
        dynamic=frozenset() if learned_scales else frozenset(_following(graph, table)),
        learned=frozenset(front_end.measured) if learned_scales else frozenset(),
    ).write()


def _recipe(graph: Graph, front_end: FrontEnd, written: Written, unfolded: bool) -> Recipe:
    return Recipe(
        graph,
        front_end.job.context,
        front_end.rest,
        written,
        unfolded=unfolded,
        measured=front_end.measured,
        notes=front_end.job.notes,
    )


def _require_quantized(front_end: FrontEnd) -> None:
    """UsageError or SparqcError where there is nothing that trains with quantizers."""
    graph, facts = front_end.graph, front_end.job.context.facts
    if not any(node.op == "q.qdq" for node in graph.nodes):
        placement = facts.get(Placement)
        if placement is None:
            raise UsageError(
                f"the pipeline places no quantizers: {front_end.job.pipeline}",
                hint="to train with masks alone, use sparqc.sparsify",
            )
        reasons = "; ".join(f"{row.name}: {row.reason}" for row in placement.layers[:3])
        raise SparqcError(f"nothing of the model can be quantized ({reasons or 'no layers'})")
    if unknown := uncalibrated_scales(graph):
        names = ", ".join(sorted(scale.name for scale in unknown)[:3])
        raise UsageError(
            f"the pipeline measures no scales in front of the export: {names} …",
            hint="put `calibrate` behind `place`",
        )


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
