"""What became of channels that could be equalized."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Equalized:
    """What became of the channels that some layers write: one layer, or several of one stream."""

    layers: tuple[str, ...]  # names of the values that the layers define
    modules: tuple[str, ...]
    channels: int
    #: The factors' range.
    least: float = 1.0
    most: float = 1.0
    #: By how much the noise of INT8 becomes smaller in what reads the channels, as predicted.
    gain_db: float = 0.0
    #: Why there are no factors; "" where there are.
    reason: str = ""


@dataclass(frozen=True)
class Equalization:
    """The fact that `equalize` leaves: a row for each group of channels."""

    groups: tuple[Equalized, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Whether any weights were scaled."""
        return any(not group.reason for group in self.groups)
