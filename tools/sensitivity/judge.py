"""How much worse a changed network is: on the user's evaluation, and on its outputs' noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sparqc.errors import SparqcError, UsageError, did_you_mean
from sparqc.ir.graph import Array, Graph
from sparqc.passes.on_data.batches import calibration_batches
from sparqc.rewrite.context import Batch
from sparqc.tools.model.evaluation import Reference
from sparqc.tools.model.loading import LoadedModel
from sparqc.tools.sensitivity.study import Study
from sparqc.tools.sensitivity.sweep import BatchState, Sweep

#: The metric that every network has.
SNR = "snr"


@dataclass(frozen=True)
class Score:
    """What a network reaches: the metric, None where it is the noise, and noise over signal."""

    noise: float
    metric: float | None = None

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
            self.calibration.add(batch, whole.of(None, batch), keep=True)

    # -- evaluate() --------------------------------------------------------------------------

    def _start(self) -> None:
        sweep = Sweep(self.study.plain, self.table)
        whole = sweep.behind(self.study.plain)

        def run(_: int, batch: Batch) -> list[Array]:
            outputs = whole.of(None, batch)
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

    def score(self, graph: Graph, what: str, *, whole: bool = False) -> Score:
        """What a network reaches; `whole` where it differs from the float one everywhere.

        Raises SparqcError where it fails, or the metric is no finite number; `what` names it.
        """
        sweep = self.evaluation or self.calibration
        if whole:
            sweep = Sweep(sweep.graph, sweep.table, states=sweep.states)
            answer = sweep.behind(graph)
            states = [BatchState(c.digest, c.batch, c.outputs, None) for c in sweep.states]
        else:
            answer, states = sweep.behind(graph), sweep.states
        noise = _Noise()
        if self.evaluation is None:
            for state in states:
                noise.add(state, answer.of(state))
            return Score(noise.ratio)

        def run(number: int, batch: Batch) -> list[Array]:
            state = states[number] if number < len(states) else None
            outputs = answer.of(state, batch)
            noise.add(state, outputs)
            return outputs

        number = self._number(self._figures(run), what)
        return Score(noise.ratio, number)

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


class _Noise:
    """Noise over signal of all outputs of all batches."""

    def __init__(self) -> None:
        self._signal = self._noise = 0.0

    def add(self, state: BatchState | None, outputs: list[Array]) -> None:
        """Compare with what the float network gave, where that was kept."""
        if state is None or state.outputs is None:
            return
        for expected, actual in zip(state.outputs, outputs, strict=True):
            if expected.shape != actual.shape:
                continue  # evaluate() asked for something else this time
            a, b = expected.astype(np.float64), actual.astype(np.float64)
            there = np.isfinite(a)
            a, b = a[there], b[there]
            self._signal += float((a * a).sum())
            with np.errstate(invalid="ignore", over="ignore"), suppress(OverflowError):
                self._noise += float(((a - b) ** 2).sum())

    @property
    def ratio(self) -> float:
        """Infinite where an output is not finite."""
        if not math.isfinite(self._noise):
            return math.inf
        return self._noise / max(self._signal, 1e-300)
