"""Measure BatchNorm's statistics anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.on_data.batches import calibration_batches, check_limit, not_finite
from sparqc.passes.on_data.changes import layer_of
from sparqc.passes.on_data.held_out import Split
from sparqc.passes.on_data.judge import Judge
from sparqc.passes.on_data.judged_statistics import (
    SHARES,
    Measured,
    best_share,
    take,
    with_statistics,
)
from sparqc.passes.on_data.not_in_torch import NotInTorch
from sparqc.passes.on_data.transaction import keep_what_helps, too_few
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
    #: On how few samples that was chosen, which are too few to judge by; 0 where they were enough,
    #: or nothing was chosen.
    few: int = 0
    #: Why nothing was measured; "" where something was.
    reason: str = ""


@register
@dataclass(frozen=True)
class Reestimate(Pass):
    """Measure the mean and variance of every BatchNorm again, on the calibration data.

    Pruning changes what a layer gives, and the running statistics from training no longer fit:
    this alone brings most of the accuracy back.  Layer by layer, in one pass over the data, each
    BatchNorm normalises with what was measured so far.  The variance is the unbiased one, as in
    torch's running_var.  Where no weight lost anything, or pruning
    repaired the weights, nothing is done, unless `always` is set.

    Few images measure worse than training did on many, and repaired layers want what they had.  So
    a quarter of each calibration batch, at most 32 samples, is not measured on, and judges: the new
    statistics, or half and half, stay only where they bring the outputs nearer to those of the
    model as it was read, everywhere, or in a half or a quarter of the BatchNorms.  Where all stay,
    they are measured on what judged too.  With fewer than 8 such samples, and at least one, all,
    half or nothing is taken, whatever serves these best, since measuring anew gains most where the
    judge is blind; with none the old ones stay.  `always` takes the new ones untried.
    """

    name = "reestimate"
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
        old = {names: _statistics_of(nodes[0]) for names, nodes in groups.items()}
        try:
            measured = _Measurement(graph, groups, context)
            taken = self._take(graph, measured, old, context)
        except NotInTorch as error:
            if graph.level == "fx":
                raise
            context.facts.put(Reestimation(share=0.0, reason=error.message))
            return 0
        rows = [
            _row(node, measured.moments[node.output].count, old[names])
            for names in taken.norms
            for node in groups[names]
        ]
        context.facts.put(Reestimation(tuple(rows), taken.share, taken.few, taken.reason))
        return len(rows)

    def _take(
        self, graph: Graph, measured: _Measurement, old: Measured, context: Context
    ) -> _Taken:
        """Measure, and put into the graph what is to stay."""
        if self.always or context.reference is None:
            measured.take(calibration_batches(graph, context, self.batches))
            take(graph, old, measured.found(), 1.0)
            return _Taken(list(old), 1.0)
        split = Split(graph, context, self.batches)
        measured.take(split.fitted())
        if not split.held:
            return _Taken([], 0.0, reason="no calibration sample can be held back to choose by")
        judge = Judge(context.reference, split.held, context.table, free_size=True)
        new = measured.found()
        if too_few(split):
            share = best_share(graph, old, new, judge, (*SHARES, 0.0))
            taken = _Taken(list(old) if share else [], share, split.samples)
        else:
            share = best_share(graph, old, new, judge, SHARES)
            worked = with_statistics(graph, old, new, share)
            found = keep_what_helps(
                graph, worked, context.reference, split, self.name, context, judge
            )
            norms = [n for n in old if _layer(graph, n, context.table) in found.kept]
            taken = _Taken(norms, share if norms else 0.0)
        if len(taken.norms) == len(old):  # what judged makes them surer
            measured.take(enumerate(split.held, 1))
            take(graph, old, measured.found(), share)
        return taken


@dataclass(frozen=True)
class _Taken:
    """What was taken of new statistics: by which BatchNorms, named as in `Measured`."""

    norms: list[tuple[str, ...]]
    share: float
    few: int = 0
    reason: str = ""


#: The BatchNorms of each pair of mean and variance, by the values that they define.
_Groups = dict[tuple[str, ...], list[Node]]


def _groups(graph: Graph) -> _Groups:
    """The BatchNorms with constant statistics; those of one module have the same."""
    groups: dict[tuple[Value, Value], list[Node]] = {}
    for node in graph.nodes:
        if node.op == "nn.batch_norm":
            mean, var = cast(Value, node.operands["mean"]), cast(Value, node.operands["var"])
            if mean.is_const and var.is_const:
                groups.setdefault((mean, var), []).append(node)
    return {tuple(node.output.name for node in nodes): nodes for nodes in groups.values()}


def _statistics_of(node: Node) -> tuple[Array, Array]:
    mean, var = (cast(Value, node.operands[slot]).data for slot in ("mean", "var"))
    return cast(Array, mean), cast(Array, var)


def _layer(graph: Graph, names: tuple[str, ...], table: OperatorTable) -> str:
    """What the judge calls the BatchNorms: the first layer that one of them normalises."""
    node = graph.value(names[0]).producer
    assert node is not None
    return layer_of(node, table).output.name


class _Measurement:
    """The statistics of the input of each BatchNorm, by the value that it defines."""

    def __init__(self, graph: Graph, groups: _Groups, context: Context) -> None:
        # Only here is torch needed, which takes seconds to import.
        from sparqc.passes.on_data.batch_statistics import BatchStatistics, Moments

        self._groups = groups
        self.moments: dict[Value, Moments] = {}
        for nodes in groups.values():
            self.moments |= dict.fromkeys((node.output for node in nodes), Moments())
        self._live = BatchStatistics(graph, context.table, self.moments, context.ranks)

    def take(self, batches: Iterable[tuple[int, Batch]]) -> None:
        """Measure on more batches, each with its number."""
        for number, batch in batches:
            self._live.run(batch)
            for nodes in self._groups.values():
                _require_finite(self.moments[nodes[0].output], nodes[0], number)
        for nodes in self._groups.values():
            _require_several(self.moments[nodes[0].output], nodes[0])

    def found(self) -> dict[tuple[str, ...], tuple[Array, Array]]:
        """Mean and variance of what was seen."""
        found = {names: self.moments[nodes[0].output] for names, nodes in self._groups.items()}
        return {n: (m.mean.numpy(), m.unbiased_variance.numpy()) for n, m in found.items()}


def _require_finite(moments: Moments, node: Node, number: int) -> None:
    if not (moments.mean.isfinite().all() and moments.variance.isfinite().all()):
        raise not_finite(f"the input of {name_of(node)!r}", number, "statistics")


def _require_several(moments: Moments, node: Node) -> None:
    if moments.count < 2:
        raise SparqcError(
            f"{name_of(node)!r} saw {moments.count} value a channel: that has no variance",
            hint="give more calibration data",
        )


def _row(node: Node, count: int, before: tuple[Array, Array]) -> Statistics:
    after = _statistics_of(node)
    deviation = np.sqrt(np.maximum(before[1].astype(np.float64), np.finfo(np.float32).tiny))
    return Statistics(
        value=node.output.name,
        module=node.origin.module,
        elements=count,
        shift=float(np.max(np.abs(after[0] - before[0]) / deviation)),
        spread=float(np.median(after[1] / deviation**2)),
    )
