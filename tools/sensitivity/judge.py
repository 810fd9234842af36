"""How much worse a changed network is: on the user's evaluation, and on its outputs' noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from sparqc.errors import SparqcError, UsageError, did_you_mean
from sparqc.ir.graph import Array, Graph
from sparqc.passes.on_data.batches import calibration_batches
from sparqc.rewrite.context import Batch
from sparqc.tools.model.evaluation import Reference
from sparqc.tools.model.loading import LoadedModel
from sparqc.tools.sensitivity.parts import (
    ALL,
    FOLDS,
    HELD_OUT,
    Estimate,
    Part,
    mixed,
    rows,
    samples_of,
)
from sparqc.tools.sensitivity.study import Study
from sparqc.tools.sensitivity.sweep import OUTPUT_ROOM, Answer, BatchState, Sweep, digest

#: The metric that every network has.
SNR = "snr"


@dataclass(frozen=True)
class Score:
    """What a network reaches: the metric, None where it is the noise, and noise over signal.

    Of a part of the samples it is what all of them would give if they were like that part.
    """

    noise: float
    metric: float | None = None
    #: How much it was measured on: samples, or the signal of the outputs.
    weight: float = 0.0

    @property
    def snr(self) -> float:
        """Signal to noise of the outputs in dB, infinite where they are those of the float net."""
        return -10 * math.log10(self.noise) if self.noise > 0 else math.inf


@dataclass(frozen=True)
class MetricChoice:
    """What a person wants to measure."""

    name: str | None = None  # None: the first that evaluate() gives, else the noise
    lower_is_better: bool = False
    #: At most so many calibration batches for the noise.
    batches: int = 4


class Judge:
    """Measures networks against the float one, on the same data each time."""

    def __init__(self, study: Study, loaded: LoadedModel, choice: MetricChoice) -> None:
        self.study, self.choice = study, choice
        self.table = study.context.table
        self.calibration = Sweep(study.plain, self.table)
        self.evaluation: Sweep | None = None
        self.name, self.baseline = SNR, Score(0.0)
        self.others: tuple[str, ...] = ()
        #: How many samples a network is measured on.
        self.samples = 0
        self._evaluate = None if choice.name == SNR else loaded.evaluate
        if self._evaluate is None and choice.name not in (None, SNR):
            raise UsageError(
                f"--metric {choice.name}: the model offers no evaluate()",
                hint="add evaluate(run) to model.py, or leave --metric out for the "
                "signal-to-noise ratio",
            )
        self._fill()
        if self._evaluate is not None:
            assert loaded.module is not None and loaded.inputs is not None
            self._reference = Reference(loaded.module)
            named = dict(zip(loaded.keywords, loaded.inputs, strict=False))
            # It learns what results look like.
            self._reference(*(() if named else loaded.inputs), **named)
            self._start()

    def _fill(self) -> None:
        """The calibration batches, with what the float network gives for them."""
        context = self.study.context
        if context.calibration is None and self._evaluate is not None:
            return
        whole = self.calibration.behind(self.study.plain)
        limit = self.choice.batches
        for _, batch in calibration_batches(self.study.plain, context, limit):
            outputs = whole.of(None, batch)
            self.samples += samples_of(batch, outputs)
            self.calibration.add(batch, outputs, keep=True)

    # -- evaluate() --------------------------------------------------------------------------

    def _start(self) -> None:
        sweep = Sweep(self.study.plain, self.table)
        whole = sweep.behind(self.study.plain)
        self.samples = 0

        def run(_: int, batch: Batch) -> list[Array]:
            outputs = whole.of(None, batch)
            self.samples += samples_of(batch, outputs)
            sweep.add(batch, outputs, keep=False)
            return outputs

        figures = self._figures(run)
        name = self.choice.name
        if not figures:
            raise SparqcError("evaluate() gave no figures", hint='return a dict: {"top-1": 91.8}')
        if name is not None and name not in figures:
            raise UsageError(
                f"--metric {name}: evaluate() gives no such figure",
                hint=did_you_mean(name, [*figures, SNR]),
            )
        self.name = name if name is not None else next(iter(figures))
        self.others = tuple(other for other in figures if other != self.name)
        self.evaluation = sweep
        self.baseline = Score(0.0, self._number(figures, "the float network"))

    def _figures(self, run: Callable[[int, Batch], list[Array]]) -> Mapping[str, float]:
        assert self._evaluate is not None
        numbers = iter(range(1 << 62))

        def called(*inputs: torch.Tensor) -> Any:
            names = [v.name for v in self.study.plain.inputs]
            if len(inputs) != len(names):
                raise SparqcError(
                    f"evaluate() gave {len(inputs)} inputs; the model takes {len(names)}: "
                    + ", ".join(names)
                )
            batch = [np.ascontiguousarray(x.detach().cpu().numpy()) for x in inputs]
            outputs = run(next(numbers), batch)
            return self._reference.like([torch.from_numpy(np.array(y)) for y in outputs])

        return dict(self._evaluate(called))

    def _number(self, figures: Mapping[str, float], what: str) -> float:
        found = figures.get(self.name)
        if found is None:
            raise SparqcError(f"evaluate() gave no {self.name!r} for {what}")
        if not math.isfinite(found):
            raise SparqcError(
                f"evaluate() gave {found} as {self.name!r} for {what}",
                hint="layers are compared by this figure: it has to be a finite number",
            )
        return found

    # -- measuring ---------------------------------------------------------------------------

    def move_to(self, index: int) -> None:
        """What follows is measured on networks that are the float one up to that operator."""
        for sweep in (self.calibration, self.evaluation):
            if sweep is not None:
                sweep.move_to(index)

    @property
    def splits(self) -> bool:
        """Whether there are samples enough to choose on some and to judge on others."""
        return self.samples >= 2 * FOLDS

    def score(self, graph: Graph, what: str, *, whole: bool = False, part: Part = ALL) -> Score:
        """What a network reaches; `whole` where it differs from the float one everywhere.

        Raises SparqcError where it fails, or the metric is no finite number; `what` names it.
        """
        states, answer = self._answer(graph, whole)
        return self._score(states, answer.of, what, part)

    def held_out(self, graph: Graph, what: str) -> Estimate:
        """What a network that differs from the float one everywhere loses on the samples that no
        choice was made on.  Raises as `score`."""
        states, answer = self._answer(graph, whole=True)
        of = _remembered(answer.of)
        parts = [self._score(states, of, what, Part((fold,))) for fold in HELD_OUT.folds]
        scores = [score for score in parts if score.weight]
        return Estimate.of([self.loss(s) * s.weight for s in scores], [s.weight for s in scores])

    def _answer(self, graph: Graph, whole: bool) -> tuple[list[BatchState], Answer]:
        sweep = self.evaluation or self.calibration
        if not whole:
            return sweep.states, sweep.behind(graph)
        sweep = Sweep(sweep.graph, sweep.table, states=sweep.states)
        states = [BatchState(c.digest, c.batch, c.outputs, None) for c in sweep.states]
        return states, sweep.behind(graph)

    def _score(self, states: list[BatchState], of: _Of, what: str, part: Part) -> Score:
        noise, seen, picked = _Noise(), 0, 0

        def outputs_of(state: BatchState | None, batch: Batch | None) -> list[Array]:
            nonlocal seen, picked
            outputs = of(state, batch)
            expected = None if state is None else state.outputs
            given = batch if batch is not None else state.batch if state else None
            if expected is None and part is not ALL:
                expected = self._plain(given)
            if expected is None or given is None:
                return outputs
            alike = all(a.shape == b.shape for a, b in zip(expected, outputs, strict=True))
            mask = part.picks(seen, samples_of(given, expected) if alike else 1)
            seen, picked = seen + len(mask), picked + int(mask.sum())
            if alike:  # else evaluate() asked for something else this time
                noise.add(rows(expected, mask), rows(outputs, mask))
            return mixed(expected, outputs, mask)

        if self.evaluation is None:
            for state in states:
                outputs_of(state, None)
            return Score(noise.ratio, weight=noise.signal)

        def run(number: int, batch: Batch) -> list[Array]:
            return outputs_of(states[number] if number < len(states) else None, batch)

        reached = self._number(self._figures(run), what)
        if part is not ALL:
            assert self.baseline.metric is not None
            change = reached - self.baseline.metric
            reached = self.baseline.metric + change * seen / picked if picked else reached
        return Score(noise.ratio, reached, picked)

    def _plain(self, batch: Batch | None) -> list[Array]:
        """What the float network gives, where there was no room to keep it."""
        assert batch is not None
        return self._whole.of(None, batch)

    @cached_property
    def _whole(self) -> Answer:
        return Sweep(self.study.plain, self.table).behind(self.study.plain)

    def loss(self, score: Score) -> float:
        """How much is lost against the float network: points of the metric, or noise over signal,
        both of which add up over layers as long as they are small."""
        if score.metric is None or self.baseline.metric is None:
            return score.noise
        lost = self.baseline.metric - score.metric
        return -lost if self.choice.lower_is_better else lost

    def values(self, graph: Graph, name: str) -> Iterator[Array]:
        """A value for each calibration batch, from where the sweep stands."""
        answer = self.calibration.behind(graph, [name])
        for state in self.calibration.states:
            yield answer.of(state)[0]


_Of = Callable[[BatchState | None, Batch | None], list[Array]]


def _remembered(of: _Of) -> _Of:
    """The same, each batch run once as long as there is room for its outputs."""
    known: dict[bytes, list[Array]] = {}
    taken = 0

    def found(state: BatchState | None, batch: Batch | None) -> list[Array]:
        nonlocal taken
        key = digest(batch) if batch is not None else state.digest if state else b""
        if key in known:
            return known[key]
        outputs = of(state, batch)
        size = sum(y.nbytes for y in outputs)
        if taken + size <= OUTPUT_ROOM:
            known[key] = outputs
            taken += size
        return outputs

    return found


class _Noise:
    """Noise over signal of all outputs of all batches."""

    def __init__(self) -> None:
        self.signal = self._noise = 0.0

    def add(self, expected: list[Array], actual: list[Array]) -> None:
        """Compare with what the float network gave."""
        for ideal, found in zip(expected, actual, strict=True):
            a, b = ideal.astype(np.float64), found.astype(np.float64)
            there = np.isfinite(a)
            a, b = a[there], b[there]
            self.signal += float((a * a).sum())
            with np.errstate(invalid="ignore", over="ignore"), suppress(OverflowError):
                self._noise += float(((a - b) ** 2).sum())

    @property
    def ratio(self) -> float:
        """Infinite where an output is not finite."""
        if not math.isfinite(self._noise):
            return math.inf
        return self._noise / max(self.signal, 1e-300)
