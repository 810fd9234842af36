"""Measure BatchNorm's statistics anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.on_data.batches import calibration_batches, check_limit, not_finite
from sparqc.passes.on_data.held_out import FEW, held_back, to_fit
from sparqc.passes.on_data.judged_statistics import best_share, blended
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context

if TYPE_CHECKING:
    from sparqc.passes.on_data.batch_statistics import Moments


@dataclass(frozen=True)
class Statistics:
    """What became of one BatchNorm."""

    value: str  # that it defines
    module: str
    #: How many elements each channel's statistics rest on.
    elements: int
    #: The largest change of a channel's mean, in its former standard deviations.
    shift: float
    #: The median over the channels of new variance / former variance.
    spread: float


@dataclass(frozen=True)
class Reestimation:
    """The fact that `reestimate` leaves: a row for each BatchNorm that was measured again."""

    norms: tuple[Statistics, ...] = ()
    #: How much of the measured statistics was taken; the rest are those of training.
    share: float = 1.0


@register
@dataclass(frozen=True)
class Reestimate(Pass):
    """Measure the mean and variance of every BatchNorm again, on the calibration data.

    Pruning changes what a layer gives, and the running statistics from training no longer fit:
    this alone brings most of the accuracy back.  Layer by layer, in one pass over the data, each
    BatchNorm normalises with what was measured so far.  The variance is the unbiased one, as in
    torch's running_var.  Where no weight lost anything, or pruning
    repaired the weights, nothing is done, unless `always` is set.

    Few images measure worse than training did on many: the new statistics, or half and half, are
    taken only where they bring the outputs nearer to those of the model as it was read, on a
    quarter of each batch.  With fewer than 64 images that quarter is left out of what judges it;
    with too few for a quarter, the old statistics stay.  `always` takes the new ones untried.
    """

    name = "reestimate"
    level = "fx"
    preserves = "lossy"
    needs_reference = True
    always: bool = False
    batches: int | None = None  # at most so many; none: all

    def __post_init__(self) -> None:
        check_limit(self.batches)

    def run(self, graph: Graph, context: Context) -> int:
        """Replace the statistics; returns for how many BatchNorms."""
        context.facts.put(Reestimation())
        groups = _groups(graph)
        pruning = context.facts.get(Pruning, Pruning())
        # Repaired weights give what the dense network gave: the old statistics fit better.
        if not groups or not (self.always or (pruning.is_lossy and not pruning.repaired)):
            return 0
        rows: list[Statistics] = []
        measured, samples = _measure(graph, groups, context, self.batches)
        for nodes in groups.values():
            _require_several(measured[nodes[0].output], nodes[0])
        share = self._share(graph, groups, measured, samples, context)
        if not share:
            context.facts.put(Reestimation(share=share))
            return 0
        for (mean, var), nodes in groups.items():
            moments = measured[nodes[0].output]
            before = cast(Array, mean.data), cast(Array, var.data)
            found = blended(before, _found(moments), share)
            _replace(graph, nodes, "mean", mean, found[0])
            _replace(graph, nodes, "var", var, found[1])
            rows += [_statistics(node, moments.count, before, found) for node in nodes]
        context.facts.put(Reestimation(tuple(rows), share))
        return sum(map(len, groups.values()))

    def _share(
        self,
        graph: Graph,
        groups: _Groups,
        measured: dict[Value, Moments],
        samples: int,
        context: Context,
    ) -> float:
        """How much of the measured statistics to take; all where nothing can tell."""
        if self.always or context.reference is None:
            return 1.0
        held = (
            part
            for number, batch in calibration_batches(graph, context, self.batches)
            if (part := held_back(graph, number, batch)) is not None
        )
        if samples < FEW:
            measured, fitted = _measure(graph, groups, context, self.batches, hold=True)
            if not 0 < fitted < samples:
                return 0.0
        statistics = {at: _found(measured[nodes[0].output]) for at, nodes in groups.items()}
        return best_share(graph, context.reference, statistics, held, context.table)


#: The BatchNorms of each pair of mean and variance.
_Groups = dict[tuple[Value, Value], list[Node]]


def _found(moments: Moments) -> tuple[Array, Array]:
    return moments.mean.numpy(), moments.unbiased_variance.numpy()


def _groups(graph: Graph) -> _Groups:
    """The BatchNorms with constant statistics; those of one module have the same."""
    groups: _Groups = {}
    for node in graph.nodes:
        if node.op == "nn.batch_norm":
            mean, var = cast(Value, node.operands["mean"]), cast(Value, node.operands["var"])
            if mean.is_const and var.is_const:
                groups.setdefault((mean, var), []).append(node)
    return groups


def _measure(
    graph: Graph,
    groups: _Groups,
    context: Context,
    batches: int | None,
    hold: bool = False,
) -> tuple[dict[Value, Moments], int]:
    """The statistics of the input of each BatchNorm, by the value that it defines, and of how many
    samples; with `hold` without those that are held back."""
    # Only here is torch needed, which takes seconds to import.
    from sparqc.passes.on_data.batch_statistics import BatchStatistics, Moments

    moments: dict[Value, Moments] = {}
    for nodes in groups.values():
        moments |= dict.fromkeys((node.output for node in nodes), Moments())
    statistics = BatchStatistics(graph, context.table, moments, context.ranks)
    samples = 0
    for number, batch in calibration_batches(graph, context, batches):
        part = to_fit(graph, number, batch) if hold else batch
        if part is None:
            continue
        samples += len(part[0])
        statistics.run(part)
        for nodes in groups.values():
            _require_finite(moments[nodes[0].output], nodes[0], number)
    return moments, samples


def _require_finite(moments: Moments, node: Node, number: int) -> None:
    if not (moments.mean.isfinite().all() and moments.variance.isfinite().all()):
        raise not_finite(f"the input of {_place(node)}", number, "statistics")


def _require_several(moments: Moments, node: Node) -> None:
    if moments.count < 2:
        raise SparqcError(
            f"{_place(node)} saw {moments.count} value a channel: that has no variance",
            hint="give more calibration data",
        )


def _replace(graph: Graph, nodes: list[Node], slot: str, old: Value, data: Array) -> None:
    """Give the BatchNorms new statistics: under the old name, where nobody else reads it."""
    assert old.data is not None
    data = data.astype(old.data.dtype)
    if set(old.readers) <= set(nodes) and not old.is_output:
        old.data = data
        return
    new = graph.constant(data, old.name)
    for node in nodes:
        graph.set_operand(node, slot, new)


def _statistics(
    node: Node, count: int, before: tuple[Array, Array], after: tuple[Array, Array]
) -> Statistics:
    deviation = np.sqrt(np.maximum(before[1].astype(np.float64), np.finfo(np.float32).tiny))
    return Statistics(
        value=node.output.name,
        module=node.origin.module,
        elements=count,
        shift=float(np.max(np.abs(after[0] - before[0]) / deviation)),
        spread=float(np.median(after[1] / deviation**2)),
    )


def _place(node: Node) -> str:
    """The BatchNorm and its module, for messages."""
    return f"{node.output.name!r}" + f" (module {node.origin.module})" * bool(node.origin.module)
