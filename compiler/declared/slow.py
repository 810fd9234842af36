"""A word to the person who waits for a function of theirs that may never end."""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds after which a call is slow.
SLOW = 10.0


class _Watchdog(threading.Thread):
    """Looks at the call that runs, now and then.  One thread serves all calls: to start one takes
    longer than most calls do."""

    def __init__(self) -> None:
        super().__init__(name="sparqc-slow-calls", daemon=True)
        #: When the call began, and what to say of it after so many seconds.
        self.running: tuple[float, Callable[[float], str]] | None = None

    def run(self) -> None:
        """Say of each slow call once that it runs."""
        told = None
        while True:
            time.sleep(SLOW / 4)
            running = self.running
            if running is None or running is told:
                continue
            seconds = time.monotonic() - running[0]
            if seconds >= SLOW:
                told = running
                sys.stderr.write(f"note: {running[1](seconds)}\n")
                sys.stderr.flush()


@functools.cache
def _watchdog() -> _Watchdog:
    thread = _Watchdog()
    thread.start()
    return thread


@contextmanager
def told_when_slow(say: Callable[[float], str]) -> Iterator[None]:
    """Write a note to stderr where the block runs for long; `say` gets its seconds so far."""
    watchdog = _watchdog()
    outer, watchdog.running = watchdog.running, (time.monotonic(), say)
    try:
        yield
    finally:
        watchdog.running = outer
