"""What was FP16 in a model that is FP32 meanwhile."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Widened:
    """The fact that `widen` leaves: which operators were FP16, by the names of what they give."""

    half: frozenset[str] = frozenset()
    #: Those that were FP32, where others computed in FP16: somebody has seen to that.
    full: frozenset[str] = frozenset()
    #: Why the model stays as it is; "" where it does not.
    refused: str = ""
