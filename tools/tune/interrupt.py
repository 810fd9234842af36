"""Ctrl-C and SIGTERM during a training run: finish the step, keep the state, end with a word."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from sparqc.errors import SparqcError


class Interrupted(SparqcError):
    """The person, or the scheduler of the cluster, ended the run; its state is kept."""

    exit_code = 130


class StopRequest:
    """Inside of `with`, SIGINT and SIGTERM set `asked`; a second SIGINT ends the run at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        # Only the main thread may; elsewhere the signals do what they always do.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
