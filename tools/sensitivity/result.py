"""What was found: each layer's losses, the choices, and the one that was made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparqc.job.layers import Keep
from sparqc.tools.sensitivity.choice import Budget, Choice, Way
from sparqc.tools.sensitivity.judge import SNR, Score
from sparqc.tools.sensitivity.measure import LayerLoss
from sparqc.tools.sensitivity.parts import Estimate
from sparqc.tools.sensitivity.together import Point


@dataclass(frozen=True)
class Scale:
    """The metric: its name, what the float network reaches, and which way is better."""

    name: str
    baseline: Score
    lower_is_better: bool = False

    @property
    def is_noise(self) -> bool:
        """Whether it is the signal-to-noise ratio of the outputs."""
        return self.name == SNR or self.baseline.metric is None

    @property
    def unit(self) -> str:
        """`dB`, or nothing for a metric of the user's."""
        return "dB" if self.is_noise else ""

    def reached(self, loss: float) -> float:
        """The metric with a loss: of points, or of noise over signal, which becomes dB."""
        if self.is_noise:
            return -10 * math.log10(loss) if loss > 0 else math.inf
        assert self.baseline.metric is not None
        return self.baseline.metric + (loss if self.lower_is_better else -loss)

    def interval(self, estimate: Estimate) -> tuple[float, float]:
        """The lowest and the highest metric that the true one is between, with 95 %."""
        ends = (estimate.loss - estimate.error, estimate.loss + estimate.error)
        low, high = sorted(self.reached(loss) for loss in ends)
        return low, high

    def of(self, score: Score) -> float:
        """The metric that a network reaches."""
        return score.snr if score.metric is None else score.metric

    def loss(self, score: Score) -> float:
        """How much less than the float network a network reaches; noise over signal for the SNR."""
        if score.metric is None or self.baseline.metric is None:
            return score.noise
        lost = self.baseline.metric - score.metric
        return -lost if self.lower_is_better else lost


@dataclass(frozen=True)
class HeldOut:
    """What a choice loses on the samples that it was not made on, and what it may lose there."""

    estimate: Estimate
    limit: float


@dataclass(frozen=True)
class Target:
    """What the choice has to keep to."""

    budget: Budget
    #: Points, or noise over signal, that a choice may lose at most.
    limit: float
    #: Whether it does, on the samples that it was made on.
    reached: bool
    #: None where there were too few samples to hold some back.
    held_out: HeldOut | None = None


@dataclass(frozen=True)
class Result:
    """Everything that a run of `sparqc sensitivity` found."""

    model: str
    target: str
    gpu: str
    shapes: tuple[tuple[str, Any], ...]
    scale: Scale
    rows: Sequence[LayerLoss]
    ways: Mapping[str, Sequence[Way]]
    #: Predicted seconds of the planned network and of the float one.
    planned_seconds: float
    float_seconds: float
    keeps: Mapping[str, Keep]
    #: Layers that a person keeps in float, by module and value.
    excluded: Sequence[tuple[str, str]] = ()
    path: Sequence[Choice] = ()
    #: What was measured with all layers together, by what it is: "planned", "dense INT8", "chosen".
    together: Mapping[str, Point] = field(default_factory=dict)
    chosen: Target | None = None
    notes: tuple[str, ...] = ()
    #: How many samples the metric was measured on; where some are held out, half of them chose.
    samples: int = 0

    @property
    def ranked(self) -> list[LayerLoss]:
        """The layers, the most sensitive first."""
        return sorted(self.rows, key=lambda r: (-self.scale.loss(r.planned), -r.planned.noise))

    def to_json(self) -> dict[str, Any]:
        """Plain data; what is not finite becomes None."""
        return {
            "model": self.model,
            "target": self.target,
            "gpu": self.gpu,
            "shapes": {n: s and list(s) for n, s in self.shapes},
            "metric": self.scale.name,
            "lower_is_better": self.scale.lower_is_better,
            "float": _finite(self.scale.of(self.scale.baseline)),
            "predicted_us": {
                "planned": 1e6 * self.planned_seconds, "float": 1e6 * self.float_seconds,
            },
            "layers": [self._row(row) for row in self.rows],
            "path": [self._choice(choice) for choice in self.path],
            "together": {name: self._point(point) for name, point in self.together.items()},
            "budget": self._target(),
            "notes": list(self.notes),
        }  # fmt: skip

    def _row(self, row: LayerLoss) -> dict[str, Any]:
        layer = row.layer
        scores = {"int8": row.int8, "sparse": row.sparse, "both": row.both}
        return {
            "module": layer.module,
            "value": layer.name,
            "operator": layer.op,
            "shape": list(layer.shape),
            "planned": layer.keep,
            "keep": self.keeps[layer.name],
            "alone": {name: self._score(score) for name, score in scores.items() if score},
            "extra_us": {way.keep: 1e6 * way.seconds for way in self.ways[layer.name]},
        }

    def _score(self, score: Score) -> dict[str, Any]:
        points = {} if self.scale.is_noise else {"loss": self.scale.loss(score)}
        return {
            self.scale.name: _finite(self.scale.of(score)),
            **points,
            "snr_db": _finite(score.snr),
        }

    def _choice(self, choice: Choice) -> dict[str, Any]:
        return {
            "predicted_us": 1e6 * choice.seconds,
            f"predicted_{self.scale.name}": _finite(self.scale.reached(choice.loss)),
            "keep": dict(choice.keeps),
        }

    def _point(self, point: Point) -> dict[str, Any]:
        found = {"predicted_us": 1e6 * point.seconds, **self._score(point.score)}
        return {**found, "keep": dict(point.keeps)}

    def _target(self) -> dict[str, Any] | None:
        if self.chosen is None:
            return None
        least = _finite(self.scale.reached(self.chosen.limit))
        found = {"budget": str(self.chosen.budget), "reached": self.chosen.reached}
        held_out = self.chosen.held_out
        return {
            **found,
            f"limit_{self.scale.name}": least,
            "samples": self.samples,
            "held_out": held_out and self._held_out(held_out),
        }

    def _held_out(self, held_out: HeldOut) -> dict[str, Any]:
        low, high = self.scale.interval(held_out.estimate)
        return {
            self.scale.name: _finite(self.scale.reached(held_out.estimate.loss)),
            "low": _finite(low),
            "high": _finite(high),
            f"limit_{self.scale.name}": _finite(self.scale.reached(held_out.limit)),
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
