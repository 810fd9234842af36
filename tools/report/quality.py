"""How good the numbers of a compile are, which pass lost most, and what to try."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparqc.base.text import shortened
from sparqc.ir.layer_names import layer_name
from sparqc.passes.calibrate.calibrate import CalibratedRanges
from sparqc.passes.masks.pruning import Pruning
from sparqc.rewrite.facts import Facts

if TYPE_CHECKING:
    from sparqc.job.run import Compiled
    from sparqc.job.verify import Difference
    from sparqc.pipeline.gate import Loss

#: From so many dB of signal to noise on a result is good, and below the other it is ruined: noise
#: has 3 % of the outputs' power at 15 dB, and a third of it at 5 dB.
GOOD, RUINED = 15.0, 5.0
#: The same for outputs of integers alone: the share of entries that are the original's.
GOOD_SHARE, RUINED_SHARE = 0.95, 0.5
#: So many layers are named.
NAMED = 5

_TO_TRY = {
    "prune": "--passes one-shot repairs the weights that stay, `sparqc sensitivity` says which "
    "layers to leave dense, `sparqc tune` trains",
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


def quality_of(compiled: Compiled) -> Quality:
    """The quality of a finished compile."""
    gap = compiled.difference
    nothing = gap is None or (math.isnan(gap.snr_db) and gap.equal_share is None)
    word = "" if gap is None or nothing else grade_of(gap)
    return Quality(word, compiled.verified, compiled.unverified)


def quality_notes(compiled: Compiled) -> Iterator[str]:
    """Where the result is not good: the pass that lost most, its layers, and what to try."""
    gap = compiled.difference
    if gap is None or grade_of(gap) == "good":
        return
    limits = f"good from {GOOD:g} dB on, ruined below {RUINED:g}"
    if math.isnan(gap.snr_db):
        limits = f"good from {GOOD_SHARE:.0%} equal integers on, ruined below {RUINED_SHARE:.0%}"
    yield f"the outputs are {grade_of(gap)} ({limits})"
    if worst := worst_loss(compiled.losses):
        layers = shortened(_worst_layers(worst.pass_, compiled.context.facts), NAMED)
        yield (
            f"{worst.pass_} lost most: {_figure(worst)} behind it"
            + (f"; its worst layers are {layers}" if layers else "")
        )
        if way := _TO_TRY.get(worst.pass_):
            yield f"to try: {way}"


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
