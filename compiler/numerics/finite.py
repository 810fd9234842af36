"""Whether every number of an array is one that arithmetic can go on with."""

from __future__ import annotations

import math

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array


def largest_magnitude(x: Array) -> float:
    """max|x| over an array of any shape, 0.0 where it is empty; NaN where an element is NaN."""
    if not x.size:
        return 0.0
    # Neither |x| nor a mask as large as x is built: both would cost a tenth of a large model.
    low, high = float(x.min()), float(x.max())
    return math.nan if math.isnan(low + high) else max(-low, high)


def require_finite(x: Array, what: str) -> None:
    """Raise `SparqcError` where an element of `x` is NaN or infinite; `what` names the array."""
    largest = largest_magnitude(x)
    if math.isfinite(largest):
        return
    kind = "NaN" if math.isnan(largest) else "infinite"
    raise SparqcError(f"{what} has {kind} elements", hint="check the model's weights")
