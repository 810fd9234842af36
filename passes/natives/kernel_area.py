"""How many elements the window of a convolution covers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sparqc.declared.natives import native


@native("kernel_area")
def kernel_area(shape: Sequence[int]) -> int:
    """The product of the window's sizes, of a weight [K, C, ...]: 9 for 3x3, 1 without a window."""
    return math.prod(shape[2:])
