"""The fact of which branches of Concats have scales of their own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Untied:
    """A branch that a Concat no longer gives its scale."""

    values: tuple[str, ...]  # what stands in the Concat
    module: str  # that made the first of them
    join: str  # what the Concat gives
    #: By how many dB the branch was rounded worse with the scale of the Concat.
    gain_db: float


@dataclass(frozen=True)
class Untying:
    """The fact that `untie` leaves."""

    branches: tuple[Untied, ...] = ()
    #: What that is predicted to cost, as a share of the time without; None where that is not known.
    share: float | None = None
