"""What the report says of passes that change weights and biases so that INT8 fits better."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Protocol

from sparqc.passes.correct_bias.correct_bias import BiasCorrection
from sparqc.passes.equalize.equalized import Equalization
from sparqc.rewrite.facts import Facts


class _Row(Protocol):
    @property
    def reason(self) -> str: ...  # why nothing was changed


def adjusted_notes(facts: Facts) -> Iterator[str]:
    """A sentence on what `equalize` and `correct-bias` did each, and one for each reason for which
    they left something as it was."""
    groups = facts.get(Equalization, Equalization()).groups
    if changed := [row for row in groups if not row.reason]:
        yield (
            f"channels equalized in {len(changed)} of {len(groups)} groups: the noise of INT8 in "
            f"what reads them is {fmean(r.measured_db for r in changed):.1f} dB smaller on "
            "average, measured on calibration data that is held back"
        )
    yield from _left("channels of {} not equalized", "group", groups)
    layers = facts.get(BiasCorrection, BiasCorrection()).layers
    if corrected := [row for row in layers if not row.reason]:
        yield f"biases corrected in {len(corrected)} of {len(layers)} layers"
    yield from _left("biases of {} not corrected", "layer", layers)


def _left(what: str, noun: str, rows: Sequence[_Row]) -> Iterator[str]:
    counts: dict[str, int] = {}
    for row in rows:
        if row.reason:
            counts[row.reason] = counts.get(row.reason, 0) + 1
    for reason, count in counts.items():
        yield f"{what.format(f'{count} {noun}' + 's' * (count > 1))}: {reason}"
