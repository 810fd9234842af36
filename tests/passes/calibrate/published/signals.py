"""What published calibrators and ours are given: arrays by formula, the same on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIZE = 20_000
#: The largest magnitude of every signal: just below a power of two, so that 4096 bins over it and
#: our 4096 bins over [0, 1) are the same.
TOP = 1 - 2.0**-20

Floats = NDArray[np.float32]


def signals() -> dict[str, Floats]:
    """Arrays [20000] of what layers give: symmetric, behind a ReLU, of heavy tails, flat."""
    first = (np.arange(SIZE) + 0.5) / SIZE
    second = (np.arange(SIZE) * 0.6180339887498949) % 1
    normal = np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)  # Box and Muller, 1958
    sign = np.where(np.arange(SIZE) % 2, 1.0, -1.0)
    outlier = normal.copy()
    outlier[7] = 12.0
    found = {
        "normal": normal,
        "relu": np.maximum(normal, 0),
        "laplace": -np.log(first) * sign,
        "outlier": outlier,
        "uniform": (2 * first - 1),
    }
    return {name: (TOP * x / np.abs(x).max()).astype(np.float32) for name, x in found.items()}
