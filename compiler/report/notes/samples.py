"""What the report says of how much data ranges and statistics rest on."""

from __future__ import annotations

from collections.abc import Iterator

from sparqc.passes.on_data.batches import CalibrationSamples
from sparqc.passes.on_data.held_out import FEW
from sparqc.passes.reestimate import Reestimation
from sparqc.rewrite.facts import Facts


def sample_notes(facts: Facts) -> Iterator[str]:
    """On how many samples the passes measured, whether that is few, and what became of BatchNorm's
    statistics where not all of the new ones were taken."""
    seen = facts.get(CalibrationSamples)
    if seen is not None:
        few = f": few, give at least {FEW}, and better hundreds" if seen.count < FEW else ""
        samples = "sample" if seen.count == 1 else "samples"
        yield f"ranges and statistics were measured on {seen.count} calibration {samples}{few}"
    yield from _statistics(facts.get(Reestimation, Reestimation()))


def _statistics(found: Reestimation) -> Iterator[str]:
    """What the judge does not say of `reestimate`."""
    what = "the BatchNorm statistics of training"
    if found.reason:
        yield f"{what} were kept: {found.reason}"
        return
    done = (
        "were replaced"
        if found.share == 1
        else f"were mixed with {100 * found.share:.0f} % new ones"
    )
    if found.few:
        samples = "sample" if found.few == 1 else "samples"
        yield (
            f"{what} {done if found.share else 'were kept'}: that served {found.few} calibration "
            f"{samples} best that were held back, too few to judge by"
        )
    elif 0 < found.share < 1:
        yield f"{what} {done}: new ones alone are not better"
