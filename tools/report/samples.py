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
    share = facts.get(Reestimation, Reestimation()).share
    if share < 1:
        kept = "were kept" if share == 0 else f"were mixed with {100 * share:.0f} % new ones"
        yield f"the BatchNorm statistics of training {kept}: new ones alone are not better"
