"""From a model to its layers' losses and a choice: what `sparqc sensitivity` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sparqc.declared.gpus import Gpu
from sparqc.errors import UsageError
from sparqc.job.layers import Keep
from sparqc.tools.model.open_request import Opened
from sparqc.tools.sensitivity.choice import (
    Budget,
    Choice,
    Way,
    first_within,
    path,
    search,
    staircase,
)
from sparqc.tools.sensitivity.judge import Judge, MetricChoice, Score
from sparqc.tools.sensitivity.measure import LayerLoss, measure
from sparqc.tools.sensitivity.parts import ALL, CHOICE, FOLDS, HELD_OUT, Part
from sparqc.tools.sensitivity.result import HeldOut, Result, Scale, Target
from sparqc.tools.sensitivity.speed import Speed
from sparqc.tools.sensitivity.study import Study, study
from sparqc.tools.sensitivity.together import Point, Together


@dataclass(frozen=True)
class SensitivityOptions:
    """What a person wants to know."""

    metric: MetricChoice
    gpu: Gpu
    batch: int | None = None
    budget: Budget | None = None
    #: Whether the choices between the fastest and the float network are to be predicted.
    frontier: bool = False


def sensitivity(opened: Opened, options: SensitivityOptions) -> Result:
    """Measure each layer alone, and choose where there is a budget.

    Raises UsageError where the wishes do not fit the model, SparqcError where a pass, the model or
    its evaluation fails.
    """
    job = opened.job
    found = study(job)
    judge = Judge(found, opened.loaded, options.metric)
    _check_budget(options.budget, judge)
    part = CHOICE if options.budget is not None and judge.splits else ALL
    rows = measure(found, judge, part)
    speed = Speed(found, job, options.gpu, options.batch)
    ways = {row.layer.name: _ways(row, judge, speed) for row in rows}
    scale = Scale(judge.name, judge.baseline, options.metric.lower_is_better)
    planned: dict[str, Keep] = {row.layer.name: row.layer.keep for row in rows}
    result = Result(
        model=opened.loaded.spec,
        target=job.context.target.name,
        gpu=options.gpu.doc,
        shapes=speed.shapes,
        scale=scale,
        rows=rows,
        ways=ways,
        planned_seconds=speed.seconds({}),
        float_seconds=speed.seconds(dict.fromkeys(planned, "float")),
        keeps=planned,
        excluded=tuple((row.module, row.name) for row in found.excluded),
        notes=tuple(_notes(opened, found, judge, speed, options)),
        samples=judge.samples,
    )
    if options.budget is None and not options.frontier:
        return result
    together = Together(found, job, judge)
    return _Chooser(found, together, judge, speed, result, part).chosen(options.budget)


def _check_budget(budget: Budget | None, judge: Judge) -> None:
    if budget is None:
        return
    noise = judge.baseline.metric is None
    if noise and budget.unit != "dB":
        raise UsageError(
            f"--budget {budget.amount:g}: the metric is the signal-to-noise ratio, which has no "
            "points",
            hint=f"give dB: --budget {budget.amount:g}dB",
        )
    if not noise and budget.unit == "dB":
        raise UsageError(
            f"--budget {budget.amount:g}dB: the metric is {judge.name!r}",
            hint="give points of it, or --metric snr",
        )


def _ways(row: LayerLoss, judge: Judge, speed: Speed) -> list[Way]:
    """How the layer can be kept, the planned way first; seconds against the planned network."""
    scores: list[tuple[Keep, Score]] = [(row.layer.keep, row.planned)]
    if row.layer.keep == "sparse-int8" and row.int8 is not None:
        scores.append(("int8", row.int8))
    scores.append(("float", Score(0.0, judge.baseline.metric)))
    planned, name = speed.seconds({}), row.layer.name
    return [
        Way(keep, judge.loss(score), score.noise, speed.seconds({name: keep}) - planned)
        for keep, score in scores
    ]


def _notes(
    opened: Opened, found: Study, judge: Judge, speed: Speed, options: SensitivityOptions
) -> list[str]:
    notes = [*opened.notes, *speed.notes]
    if judge.others and judge.choice.name is None:
        others = ", ".join(judge.others)
        notes.append(f"the first of what evaluate() gives; --metric chooses another: {others}")
    if options.budget is not None and judge.splits:
        notes.append("every second sample measures the layers and chooses, the others judge")
    elif options.budget is not None:
        notes.append(
            f"chosen and judged on the same {judge.samples} samples, so what is reached elsewhere "
            f"may be less: with {2 * FOLDS} or more every second one judges"
        )
    if found.apart:
        passes = ", ".join(found.apart)
        notes.append(f"not part of a layer's own loss, only of what is measured together: {passes}")
    return notes


@dataclass
class _Chooser:
    """Chooses on the path from the fastest network to the float one."""

    study: Study
    together: Together
    judge: Judge
    speed: Speed
    result: Result
    #: The samples that are chosen on; what is reported is measured on the others, if there are any.
    part: Part

    def chosen(self, budget: Budget | None) -> Result:
        """The result with the path, the choices that were measured, and the one that was made."""
        choices = self._path()
        points = {"planned": self._point({}, "the planned network")}
        dense: dict[str, Keep] = {
            layer.name: "int8" for layer in self.study.layers if layer.keep == "sparse-int8"
        }
        if dense or (budget is not None and budget.unit == "dB"):
            points["dense INT8"] = self._point(dense, "dense INT8")
        keeps, target = self.result.keeps, None
        if budget is not None:
            limit = self._limit(budget, dense, self.part)
            found = search(
                len(choices),
                first_within(choices, limit),
                limit,
                lambda i: self.judge.loss(self._measured(choices[i])[1]),
            )
            points["chosen"] = self._point(choices[found.index].keeps, "the choice")
            keeps = points["chosen"].keeps
            target = Target(budget, limit, found.reached, self._held_out(budget, dense, keeps))
        return replace(self.result, keeps=keeps, path=choices, together=points, chosen=target)

    def _held_out(
        self, budget: Budget, dense: Mapping[str, Keep], keeps: Mapping[str, Keep]
    ) -> HeldOut | None:
        """What the choice loses where it was not made; None where all samples chose."""
        if self.part is ALL:
            return None
        limit = self._limit(budget, dense, HELD_OUT)
        estimate = self.together.held_out(keeps, "the choice")
        return HeldOut(estimate, limit)

    def _limit(self, budget: Budget, dense: Mapping[str, Keep], part: Part) -> float:
        """Points, or the noise that is so many dB above that of the dense INT8 network: the float
        network has none to compare with."""
        if budget.unit == "points":
            return budget.amount
        noise = self.together.measure(dense, "dense INT8", part)[1].noise
        return float(noise * 10 ** (budget.amount / 10))

    def _measured(self, choice: Choice) -> tuple[dict[str, Keep], Score]:
        return self.together.measure(choice.keeps, "a choice", self.part)

    def _point(self, keeps: Mapping[str, Keep], what: str) -> Point:
        part = ALL if self.part is ALL else HELD_OUT
        found, score = self.together.measure(keeps, what, part)
        return Point(found, score, self.speed.seconds(found))

    def _path(self) -> list[Choice]:
        """The choices with the seconds of the whole network, those that are worth it."""
        choices = path(self.result.ways)
        found = []
        for done, choice in enumerate(choices, 1):
            found.append(replace(choice, seconds=self.speed.seconds(choice.keeps)))
            self.study.context.progress(done, len(choices), "choices predicted")
        return staircase(found)
