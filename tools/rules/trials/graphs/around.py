"""What a row of the operator table says of instances."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from sparqc.ir.quantizers import CONVERSIONS
from sparqc.ir.vocabulary.operator import Given, Operator, Sample
from sparqc.tools.rules.trials.graphs.drawn import DrawnGenerator


def sample_around(row: Operator, given: Given, random: DrawnGenerator) -> Sample | None:
    """A sample of an operator around what is given; None where it does not fit."""
    rng = cast(np.random.Generator, random)
    if row.around is not None:
        return row.around(rng, given)
    assert row.sample is not None
    sample = row.sample(rng)
    others = [slot for slot, value in given.operands.items() if value is not None]
    if len(row.operands) > 1:
        fits = all(np.shape(cast(Any, sample.operands[s])) == given.shape(s) for s in others)
        return sample if fits else None
    return sample


def keeps_shape(row: Operator) -> bool:
    """Whether a result has the shape of the first operand."""
    return bool({"keeps_type", "converts"} & {*row.traits}) or row.name in CONVERSIONS


def is_needed(row: Operator, slot: str) -> bool:
    """Whether an operand may not be left out."""
    return any(o.name == slot and not o.optional for o in row.operands)
