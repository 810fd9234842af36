"""The learning rate of each step."""

from __future__ import annotations

import math


def learning_rate(step: int, total: int, warmup: int, peak: float) -> float:
    """A linear warm-up over `warmup` steps, then half a cosine from `peak` towards 0.

    `step` counts from 0; beyond `total` it is 0.  Source of the cosine: Loshchilov and Hutter,
    SGDR, 2017, equation 5, without restarts.
    """
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return peak * (1 + math.cos(math.pi * progress)) / 2
