"""Let what a Concat ties to louder branches keep its resolution for its other readers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph
from sparqc.passes.calibrate.calibrate import LEAST_LOSS, CalibratedRanges, Range
from sparqc.passes.on_data.batches import CalibrationSamples
from sparqc.passes.on_data.held_out import Split
from sparqc.passes.on_data.judge import Judge
from sparqc.passes.on_data.transaction import Judgement, judged, note, too_few
from sparqc.passes.place.ties import Branch, Ties
from sparqc.passes.priced import predicted_seconds
from sparqc.passes.untie.losses import losses
from sparqc.passes.untie.split_scales import split_scales
from sparqc.passes.untie.untied import Untied, Untying
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context


@register
@dataclass(frozen=True)
class Untie(Pass):
    """Give a branch of a Concat a scale of its own where that of the Concat is too coarse for it.

    The inputs and the output of a Concat have one scale, so that it copies codes.  Whatever else
    reads a quiet branch then gets few of the 255 codes.  With a scale of its own for those readers
    the branch is rounded twice, for them and for the Concat, which reads what it read before.

    Branches that lose at least `loss` dB of their signal-to-noise ratio are untied.  `judged` tries
    the others as well, all of them, then halves and quarters: they are untied where the outputs
    come nearer to those of the model as it was read, on a quarter of each calibration batch.  A
    gain of 1 dB may cost `price` per cent of the predicted time.  Runs behind `calibrate`.

    The prediction counts two kernels that round; TensorRT-RTX has them in kernels that are there
    anyway (`benchmarks/untied.py`).
    """

    name = "untie"
    preserves = "lossy"
    needs_reference = True
    # `python benchmarks/untied.py yolo`, five layouts with random weights, against one scale: from
    # 12 dB on they gain 1.7, 0, 1.9, 1.9 and 2.0 dB for 3.1, 0, 3.2, 2.6 and 2.5 % of the predicted
    # time; from 20 dB on one of them gains nothing; from 6 dB on three gain 0.4 to 0.7 dB more, for
    # up to 2.9 % more.  Untried, what is certain goes first: two bits of a reader's input.
    loss: float = 12.0
    judged: bool = False
    price: float = 10.0

    def __post_init__(self) -> None:
        if not (self.loss >= 0 and self.price > 0):
            raise ValueError("loss must not be negative, and price must be above 0")

    def run(self, graph: Graph, context: Context) -> int:
        """Untie branches; returns how many."""
        ranges = context.facts.get(CalibratedRanges, CalibratedRanges()).ranges
        trial = _Trial(graph, context.facts.get(Ties, Ties()), ranges, context)
        lost = losses(trial.ties, ranges)
        untied = [branch for branch, loss in lost.items() if loss >= self.loss]
        others = [b for b, loss in lost.items() if LEAST_LOSS <= loss < self.loss]
        if self.judged and others:
            untied += self._judged(trial, untied, others)
        untied = [branch for branch in untied if context.action.decides(*branch.operands)]
        share = trial.share(untied, ()) if untied else 0.0
        now = split_scales(graph, trial.ties, untied, ranges)
        context.facts.put(CalibratedRanges(tuple(now)))
        rows = (_row(branch, gain, graph) for branch, gain in lost.items() if branch in untied)
        context.facts.put(Untying(tuple(rows), share))
        return len(untied)

    def _judged(
        self, trial: _Trial, untied: Sequence[Branch], others: Sequence[Branch]
    ) -> list[Branch]:
        """Those of the other branches that are worth it."""
        context = trial.context
        samples = context.facts.get(CalibrationSamples)
        split = Split(trial.graph, context)
        split.few()
        if samples is not None:
            context.facts.put(samples)  # it is of those that ranges were measured on
        found = self._judgement(trial, untied, {str(b): b for b in others}, split)
        note(context.facts, found)
        return [branch for branch in others if str(branch) in found.kept]

    def _judgement(
        self, trial: _Trial, untied: Sequence[Branch], parts: Mapping[str, Branch], split: Split
    ) -> Judgement:
        if reason := too_few(split):
            return Judgement(self.name, split.samples, reason=reason)
        reference = trial.context.reference
        if reference is None:
            raise SparqcError("untie: the model as it was read is not there to compare")

        def with_these(kept: Sequence[str]) -> list[Branch]:
            return [*untied, *(parts[name] for name in kept)]

        def price(kept: Sequence[str]) -> float:
            return 100 * (trial.share(with_these(kept), untied) or 0.0) / self.price

        judge = Judge(reference, split.held, trial.context.table)
        return judged(
            list(parts), lambda k: trial.graph_with(with_these(k)), judge, self.name, price=price
        )


@dataclass
class _Trial:
    """A calibrated graph of which branches may be untied."""

    graph: Graph
    ties: Ties
    ranges: Sequence[Range]
    context: Context
    _seconds: dict[frozenset[Branch], float | None] = field(default_factory=dict)

    def graph_with(self, untied: Collection[Branch]) -> Graph:
        """A copy in which these are untied."""
        trial = self.graph.clone()
        split_scales(trial, self.ties, untied, self.ranges)
        return trial

    def share(self, untied: Collection[Branch], before: Collection[Branch]) -> float | None:
        """By how much the predicted time is longer with these than with those before."""
        now, then = self._time(untied), self._time(before)
        return None if now is None or not then else now / then - 1

    def _time(self, untied: Collection[Branch]) -> float | None:
        key = frozenset(untied)
        if key not in self._seconds:
            self._seconds[key] = predicted_seconds(self.graph_with(untied), self.context)
        return self._seconds[key]


def _row(branch: Branch, gain: float, graph: Graph) -> Untied:
    maker = graph.value(branch.operands[0]).producer
    return Untied(branch.operands, maker.origin.module if maker else "", branch.join, gain)
