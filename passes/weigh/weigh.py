"""Set knobs that trade accuracy for speed by what they cost and save on this network."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from sparqc.declared.knobs import parse_knobs
from sparqc.ir.graph import Graph
from sparqc.numerics.arrays import Floats
from sparqc.passes.adopt.adopted import Adoption
from sparqc.passes.calibrate.calibrate import Calibrate
from sparqc.passes.on_data.batches import CalibrationSamples
from sparqc.passes.on_data.held_out import Split
from sparqc.passes.on_data.judge import Judge, decibels, gain
from sparqc.passes.on_data.transaction import too_few
from sparqc.passes.place.place import Place
from sparqc.passes.place.placement import Placement
from sparqc.passes.priced import predicted_seconds
from sparqc.passes.weigh.weighed import Weighed, Weighing
from sparqc.pipeline.action import Action
from sparqc.pipeline.catalogue import make
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Batch, Context
from sparqc.rewrite.facts import Facts

#: A smaller share of the predicted time is not worth a decision.
_LEAST_SAVED = 0.01
#: On how many samples the ranges of a trial are measured.
_MEASURED = 64


@register
@dataclass(frozen=True)
class Weigh(Pass):
    """Turn knobs where the network is predicted to be faster so, and its outputs stay as near.

    Each setting of `set` is tried on a copy that is quantized and calibrated, behind those that
    were taken before it.  It is taken where the predicted time is at least 1 % shorter and the
    outputs lose no more than `loss` dB against the float network, doubt included, on a quarter of
    each calibration batch.  With fewer than 8 such samples nothing is tried.  What a person sets
    with --knob stays as it is.

    `behind` is the pass of rules that the knobs steer, which runs on the copies.  Runs in front of
    it, and of `place`.
    """

    name = "weigh"
    preserves = "exact"
    set: str = "attention=int8, depthwise_channels=1, least_channels=1"
    loss: float = 0.0
    behind: str = "attention"

    def __post_init__(self) -> None:
        if not self.loss >= 0:
            raise ValueError("loss must not be negative")

    def run(self, graph: Graph, context: Context) -> int:
        """Turn the knobs; returns how many.  The graph stays what it is."""
        wishes = {k: v for k, v in parse_knobs(self.set).items() if k not in context.knobs}
        rows = tuple(self._rows(wishes, _Trials(graph, context, self.behind)))
        context.facts.put(Weighing(rows))
        return sum(not row.reason for row in rows)

    def _rows(self, wishes: Mapping[str, str], trials: _Trials) -> Iterator[Weighed]:
        rules = trials.context.rules
        for name, value in wishes.items():
            before = str(rules.knobs[name])
            plain = trials.placed()
            rules.turn(name, value)
            other = trials.placed()
            if other.facts[Placement] != plain.facts[Placement]:
                after = None if trials.reason else trials.measured(other)
                rules.turn(name, before)  # a prediction is one with knobs too
                row = self._row(f"{name}={value}", trials, plain, after)
                yield row
                if not row.reason:
                    rules.turn(name, value)
            else:
                rules.turn(name, before)

    def _row(self, word: str, trials: _Trials, plain: _Trial, after: _Measured | None) -> Weighed:
        if after is None:
            return Weighed(word, reason=trials.reason)
        before = trials.measured(plain)
        moved = gain(before.noise, after.noise)
        share = after.seconds / before.seconds - 1 if before.seconds and after.seconds else None
        reason = ""
        if share is None:
            reason = "its time is not predicted"
        elif share > -_LEAST_SAVED:
            reason = "it is predicted to save no time"
        elif not moved.error - moved.decibels <= self.loss:
            reason = f"it may lose more than {self.loss:g} dB"
        return Weighed(
            word,
            samples=after.noise.size,
            before_db=decibels(before.noise),
            after_db=decibels(after.noise),
            error_db=moved.error,
            share=share,
            reason=reason,
        )


@dataclass(frozen=True)
class _Trial:
    """A copy of a graph with quantizers, and the context that it came about in."""

    graph: Graph
    context: Context

    @property
    def facts(self) -> Facts:
        return self.context.facts


@dataclass(frozen=True)
class _Measured:
    """The noise of the outputs, [N], and the predicted time, None where that is not known."""

    noise: Floats
    seconds: float | None


class _Trials:
    """Copies of a graph in float, by the rules as they are turned."""

    def __init__(self, graph: Graph, context: Context, behind: str) -> None:
        self._graph, self.context, self._behind = graph, context, behind
        self.split = Split(graph, context)

    def placed(self) -> _Trial:
        """A copy with its quantizers, whose scales are still open."""
        facts = self.context.facts.copy()
        if (taken := facts.get(Adoption)) is not None:
            facts.put(copy.deepcopy(taken))
        own = replace(self.context, facts=facts, action=Action(), scales=dict(self.context.scales))
        trial, _ = make(self._behind).transform(self._graph.clone(), own)
        Place().run(trial, own)
        return _Trial(trial, own)

    @cached_property
    def _fitted(self) -> list[Batch]:
        samples = self.context.facts.get(CalibrationSamples)
        fitted = self.split.few(_MEASURED)
        if samples is not None:
            self.context.facts.put(samples)
        return fitted

    @cached_property
    def reason(self) -> str:
        """Why nothing can be tried; "" where it can."""
        return too_few(self.split) if self._fitted is not None else ""

    @cached_property
    def _judge(self) -> Judge:
        return Judge(self._graph, self.split.held, self.context.table)

    def measured(self, trial: _Trial) -> _Measured:
        """Set the scales of a copy, and measure it."""
        Calibrate().run(trial.graph, replace(trial.context, calibration=lambda: self._fitted))
        noise = self._judge.noise(trial.graph)
        return _Measured(noise, predicted_seconds(trial.graph, trial.context))
