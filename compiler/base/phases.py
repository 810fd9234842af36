"""How long the parts of a piece of work take."""

from __future__ import annotations

import time


class Phases:
    """Wall seconds of each phase, from the end of the one before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def end(self, name: str) -> None:
        """The phase of that name is over."""
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now
