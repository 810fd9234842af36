"""The options of the passes that solve weights anew."""

from __future__ import annotations

import math

from sparqc.passes.on_data.batches import check_limit


def check_options(damping: float | None, batches: int | None) -> None:
    """Raise ValueError where one of them is no possible value."""
    if damping is not None and not 0 < damping < math.inf:
        raise ValueError("damping must be above 0")
    check_limit(batches)
