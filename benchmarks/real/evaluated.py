"""What a network is calibrated on and compared on, as quantizers are given it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Evaluated:
    """Inputs as a network takes them, and what is right for those that it is compared on."""

    calibration: NDArray[np.float32]  # [N, ...], from sources of their own
    evaluation: NDArray[np.float32]  # [M, ...]
    #: The class of each, as far as right as `tolerance` places: [M].
    labels: NDArray[np.float64]
    #: The photograph or sound that each comes from, [M].
    sources: NDArray[np.int64]
    tolerance: float = 0.0
