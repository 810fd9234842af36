"""Measure BatchNorm's statistics anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.on_data.batches import calibration_batches, check_limit, not_finite
from sparqc.passes.on_data.held_out import FEW, held_back, to_fit
from sparqc.passes.on_data.judged_statistics import best_share, blended
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Batch, Context

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
    quarter of each batch, at most 64 images.  With fewer than 64 images altogether, statistics
    without that quarter are judged; with too few for a quarter, the old ones stay.  `always` takes
    the new ones untried.
    """

    name = "reestimate"
    level = "fx"
    preserves = "lossy"
    needs_reference = True
    training_repairs = True
    always: bool = False
    batches: int | None = None  # at most so many; none: all

    def __post_init__(self) -> None:
        check_limit(self.batches)

    def is_separable(self) -> bool:
        """Each BatchNorm by itself."""
        return True

    def run(self, graph: Graph, context: Context) -> int:
        """Replace the statistics; returns for how many BatchNorms."""
        context.facts.put(Reestimation())
        groups = _groups(graph)
        pruning = context.facts.get(Pruning, Pruning())
        # Repaired weights give what the dense network gave: the old statistics fit better.
        if not groups or not (self.always or (pruning.is_lossy and not pruning.repaired)):
            return 0
        measured = _Measurement(graph, groups, context)
        judged = not self.always and context.reference is not None
        measured.take(calibration_batches(graph, context, self.batches), hold=judged)
        share = measured.share(context) if judged else 1.0
        context.facts.put(Reestimation(share=share))
        if not share:
            return 0
        rows: list[Statistics] = []
        for (mean, var), nodes in groups.items():
            moments = measured.moments[nodes[0].output]
            before = cast(Array, mean.data), cast(Array, var.data)
            found = blended(before, _found(moments), share)
            _replace(graph, nodes, "mean", mean, found[0])
            _replace(graph, nodes, "var", var, found[1])
            rows += [_statistics(node, moments.count, before, found) for node in nodes]
        context.facts.put(Reestimation(tuple(rows), share))
        return sum(map(len, groups.values()))


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


class _Measurement:
    """The statistics of the input of each BatchNorm, by the value that it defines."""

    def __init__(self, graph: Graph, groups: _Groups, context: Context) -> None:
        # Only here is torch needed, which takes seconds to import.
        from sparqc.passes.on_data.batch_statistics import BatchStatistics, Moments

        self.graph, self.groups = graph, groups
        self.moments: dict[Value, Moments] = {}
        for nodes in groups.values():
            self.moments |= dict.fromkeys((node.output for node in nodes), Moments())
        self._live = BatchStatistics(graph, context.table, self.moments, context.ranks)
        #: What judges, at most a few samples, and what of it the statistics do not know.
        self._held: list[Batch] = []
        self._waiting: list[tuple[int, Batch]] = []
        self._fitted = 0

    def take(self, batches: Iterable[tuple[int, Batch]], *, hold: bool) -> None:
        """Measure; with `hold` a part of each batch judges, and waits while samples are few."""
        samples = held = 0
        for number, batch in batches:
            samples += len(batch[0])
            rest = held_back(self.graph, number, batch) if hold else None
            if rest is not None and held < FEW:
                held += len(rest[0])
                self._held.append(rest)
            if not hold or samples >= FEW:
                self._run(*self._waiting, (number, batch))
                self._waiting.clear()
                continue
            if (part := to_fit(self.graph, number, batch)) is not None:
                self._run((number, part))
            if rest is not None:
                self._waiting.append((number, rest))
        for nodes in self.groups.values():
            _require_several(self.moments[nodes[0].output], nodes[0])

    def share(self, context: Context) -> float:
        """How much of the statistics to take; where it is any, what waited is measured too."""
        reference = context.reference
        assert reference is not None
        if not (self._held and self._fitted):
            return 0.0
        found = {at: _found(self.moments[nodes[0].output]) for at, nodes in self.groups.items()}
        share = best_share(self.graph, reference, found, self._held, context.table)
        if share:
            self._run(*self._waiting)
        return share

    def _run(self, *parts: tuple[int, Batch]) -> None:
        for number, part in parts:
            self._fitted += len(part[0])
            self._live.run(part)
            for nodes in self.groups.values():
                _require_finite(self.moments[nodes[0].output], nodes[0], number)


def _require_finite(moments: Moments, node: Node, number: int) -> None:
    if not (moments.mean.isfinite().all() and moments.variance.isfinite().all()):
        raise not_finite(f"the input of {name_of(node)!r}", number, "statistics")


def _require_several(moments: Moments, node: Node) -> None:
    if moments.count < 2:
        raise SparqcError(
            f"{name_of(node)!r} saw {moments.count} value a channel: that has no variance",
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
