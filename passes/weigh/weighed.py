"""The fact of what became of knobs that were weighed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Weighed:
    """One setting of a knob, held against what the pipeline had before."""

    knob: str  # "attention=int8"
    #: How many samples judged; 0 where it was not tried.
    samples: int = 0
    #: The signal-to-noise ratio of the outputs on them in dB, without and with it.
    before_db: float = 0.0
    after_db: float = 0.0
    #: The standard error of the difference.
    error_db: float = 0.0
    #: By how much the predicted time is longer with it; None where that is not known.
    share: float | None = None
    #: Why it stays as it was; "" where it was taken.
    reason: str = ""


@dataclass(frozen=True)
class Weighing:
    """The fact that `weigh` leaves: a row for each setting that would change the placement."""

    knobs: tuple[Weighed, ...] = ()
