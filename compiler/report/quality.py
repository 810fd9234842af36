"""How good the numbers of a compile are, which pass lost most, and what to try."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparqc.base.text import shortened
from sparqc.ir.layer_names import layer_name
from sparqc.passes.calibrate.calibrate import CalibratedRanges
from sparqc.passes.distill import Distillations
from sparqc.passes.masks.pruning import Pruning
from sparqc.rewrite.facts import Facts

if TYPE_CHECKING:
    from sparqc.job.result import Result
    from sparqc.job.verify import Difference
    from sparqc.pipeline.gate import Loss

#: From so many dB of signal to noise on a result is good, and below the other it is ruined: noise
#: has 3 % of the outputs' power at 15 dB, and a third of it at 5 dB.
GOOD, RUINED = 15.0, 5.0
#: The same for outputs of integers alone: the share of entries that are the original's.
GOOD_SHARE, RUINED_SHARE = 0.95, 0.5
#: So many layers are named.
NAMED = 5
#: The passes that take weights away, or make good what that cost.
_OF_PRUNING = ("prune", "reestimate", "distill")
#: From the best to the worst.
_GRADES = ("good", "poor", "ruined")

_TO_TRY = {
    "calibrate": "`sparqc sensitivity` says which layers to leave in float, `sparqc tune` trains, "
    "more calibration data may help",
}


@dataclass(frozen=True)
class Quality:
    """What holding the passes to their word has shown."""

    #: "good", "poor" or "ruined"; "" where nothing was compared.
    grade: str = ""
    #: How many operators were compared with what they were before a pass.
    verified: int = 0
    #: Why none were.
    unverified: str = ""
    #: Where the grade is not "good": what to do, each with what it is expected to give.
    roads: tuple[Road, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return {**vars(self), "roads": [road.to_json() for road in self.roads]}


@dataclass(frozen=True)
class Road:
    """A way to a better result."""

    command: str
    #: In words.
    gain: str
    #: The signal-to-noise ratio that it is expected to reach; None where that is not known.
    snr_db: float | None = None

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return dict(vars(self))


def grade(snr_db: float) -> str:
    """The word for a signal-to-noise ratio."""
    return _graded(snr_db, GOOD, RUINED)


def grade_of(gap: Difference) -> str:
    """The word for a difference: of floats where there are any, else of integers."""
    if math.isnan(gap.snr_db):
        share = 1.0 if gap.equal_share is None else gap.equal_share
        return _graded(share, GOOD_SHARE, RUINED_SHARE)
    return grade(gap.snr_db)


def _graded(figure: float, good: float, ruined: float) -> str:
    return "good" if figure >= good else "poor" if figure >= ruined else "ruined"


def quality_of(result: Result) -> Quality:
    """The quality of a finished compile."""
    gap = result.difference
    nothing = gap is None or (math.isnan(gap.snr_db) and gap.equal_share is None)
    word = "" if gap is None or nothing else grade_of(gap)
    unseen = result.context.facts.get(Pruning, Pruning()).unseen
    if word and unseen is not None:
        # The example inputs are often images that the weights were fitted to.
        word = max(word, grade(unseen.snr_db), key=_GRADES.index)
    roads: tuple[Road, ...] = ()
    pruned = any(loss.pass_ in _OF_PRUNING for loss in result.losses)
    if word not in ("", "good") and pruned and _is_pruning_worst(result.losses):
        roads = tuple(roads_from(result.losses))
    return Quality(word, result.verified, result.unverified, roads)


def _is_pruning_worst(losses: Sequence[Loss]) -> bool:
    """Whether most of the noise stands behind the last pass that has to do with pruning."""
    noise = [_noise(loss) for loss in losses]
    last = max(i for i, loss in enumerate(losses) if loss.pass_ in _OF_PRUNING)
    return noise[last] >= noise[-1] - noise[last]


def roads_from(losses: Sequence[Loss]) -> Iterator[Road]:
    """The three ways from a pruned network that lost too much: train, prune less, do not prune.

    What INT8 alone would give is what the passes behind pruning added.
    """
    noise = [(loss.pass_, _noise(loss)) for loss in losses]
    pruned = [power for name, power in noise if name in _OF_PRUNING]
    added = noise[-1][1] - pruned[-1]
    dense = -10 * math.log10(added) if 0 < added < 1 else None
    if noise[-1][0] in _OF_PRUNING:
        reach = "as in the model: nothing else lost anything"
    elif dense is None:
        reach = "not predicted: the loss of pruning hides that of rounding"
    else:
        reach = f"about {dense:.0f} dB, predicted from the losses of the passes"
    between = "" if dense is None else f", up to the {dense:.0f} dB of INT8 alone"
    yield Road("sparqc tune", f"trains, without labels too{between}; keeps the layers 2:4", dense)
    yield Road(
        "sparqc sensitivity", f"measures which layers to leave dense{between}; fewer are 2:4", dense
    )
    yield Road("--passes int8", f"{reach}; no layer is 2:4", dense)


def quality_notes(result: Result) -> Iterator[str]:
    """What pruning knows; where the result is not good the pass that lost most, its layers, and
    what to try."""
    yield from pruning_notes(result.context.facts)
    gap, word = result.difference, quality_of(result).grade
    if gap is None or word in ("", "good"):
        return
    limits = f"good from {GOOD:g} dB on, ruined below {RUINED:g}"
    if math.isnan(gap.snr_db):
        limits = f"good from {GOOD_SHARE:.0%} equal integers on, ruined below {RUINED_SHARE:.0%}"
    yield f"the outputs are {word} ({limits})"
    if worst := worst_loss(result.losses):
        layers = shortened(_worst_layers(worst.pass_, result.context.facts), NAMED)
        yield (
            f"{worst.pass_} lost most: {_figure(worst)} behind it"
            + (f"; its worst layers are {layers}" if layers else "")
        )
        if way := _TO_TRY.get(worst.pass_):
            yield f"to try: {way}"


def pruning_notes(facts: Facts) -> Iterator[str]:
    """What pruning knows of images that it did not see, and why weights were not repaired."""
    pruning = facts.get(Pruning, Pruning())
    if unseen := pruning.unseen:
        yield (
            f"behind prune the outputs have {unseen.snr_db:.1f} dB on {unseen.images} calibration "
            "images that it did not see"
        )
    if trained := facts.get(Distillations):
        yield _trained(trained)
    if pruning.unrepaired and pruning.is_lossy:
        yield f"weights were pruned by magnitude and not repaired: {pruning.unrepaired}"


def _trained(found: Distillations) -> str:
    result = found.result
    if result is None:
        return f"distill did not train: {found.reason}"
    figures = f"{_decibels(result.before)} dB to {_decibels(result.after)} dB"
    if not result.epochs:
        return f"distill changed nothing: on {result.images} images held back no epoch was better"
    return f"distill brought the outputs on {result.images} images held back from {figures}"


def _decibels(noise: float) -> str:
    return "inf" if noise <= 0 else f"{-10 * math.log10(noise):.1f}"


def worst_loss(losses: Sequence[Loss]) -> Loss | None:
    """The pass that added most noise to the outputs."""
    noise = [_noise(loss) for loss in losses]
    added = [after - before for before, after in zip([0.0, *noise], noise, strict=False)]
    return losses[added.index(max(added))] if added and max(added) > 0 else None


def _noise(loss: Loss) -> float:
    """The power of the noise by that of the outputs; of integers the share that are others."""
    drift = loss.drift
    return drift.relative if math.isnan(drift.snr_db) else 10 ** (-drift.snr_db / 10)


def _figure(loss: Loss) -> str:
    drift = loss.drift
    return str(drift) if math.isnan(drift.snr_db) else f"{drift.snr_db:.1f} dB"


def _worst_layers(pass_: str, facts: Facts) -> list[str]:
    """The layers that a pass served worst, each with its figure; none of a pass that keeps none."""
    if pass_ == "prune":
        masks = facts.get(Pruning, Pruning()).masks.values()
        by_loss = sorted(masks, key=lambda m: (-m.removed, m.layer))
        named = ((layer_name(m.layer, m.module), m.removed) for m in by_loss)
        return [f"{name}: {100 * removed:.0f} % removed" for name, removed in named]
    if pass_ != "calibrate":
        return []
    ranges = facts.get(CalibratedRanges, CalibratedRanges()).ranges
    known = [(r.snr_db, layer_name(r.value, r.module)) for r in ranges if r.snr_db is not None]
    return [f"{name}: {snr:.1f} dB" for snr, name in sorted(known)]
