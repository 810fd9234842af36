"""What became of a layer whose weights were solved anew."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Repaired:
    """What became of one layer."""

    layer: str  # name of the value that it defines
    module: str
    columns: int
    samples: int
    #: E[(y' - y)^2] / Var[y] of its output y' against the output y of the reference, on the
    #: calibration data: with the weights it had, the plain way (magnitude, or rounding to nearest),
    #: and repaired.
    dense: float
    plain: float
    after: float
    #: How strongly the weights were held to what they were, as a share of the mean squared input.
    damping: float
    seconds: float
