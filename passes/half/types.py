"""The types of an operator that may be FP16."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparqc.ir.graph import Array, Value

FULL, HALF = "f32", "f16"


@dataclass(frozen=True)
class Signature:
    """How an operator may be typed.

    `bound`: operands that have the type of the operator: all FP32, or all FP16.
    `free`: operands that may be either, whatever the others are (what a Shape looks at).
    `results`: results that have the type of the operator.
    What is in none of them stays as it is; where `reason` is given, the whole operator does.
    """

    bound: frozenset[Value] = frozenset()
    free: frozenset[Value] = frozenset()
    results: frozenset[Value] = frozenset()
    reason: str = ""


def as_half(array: Array) -> Array:
    """The numbers in FP16; those beyond its range become infinite."""
    with np.errstate(over="ignore"):
        return array.astype(np.float16)
