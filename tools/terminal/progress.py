"""How far a long compile is, on stderr: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sparqc.report.show import show
from sparqc.rewrite.context import Progress as Report
from sparqc.tools.terminal.console import stderr_console

#: Seconds between two lines where stderr is no terminal; what is over sooner shows none.
INTERVAL = 30.0


@contextmanager
def progress_bar(
    wanted: bool = True, clock: Callable[[], float] = time.monotonic
) -> Iterator[Report | None]:
    """What passes call as (done, total, what); None where nobody wants to see it.

    A count that does not grow begins a new round of the same thing: its time starts anew.
    """
    console = stderr_console()
    if not wanted:
        yield None
    elif console.is_terminal:
        with _bar(console) as report:
            yield report
    else:
        yield _Lines(console, clock).report


@contextmanager
def _bar(console: Console) -> Iterator[Report]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}
        last: dict[str, int] = {}

        def report(done: int, total: int | None, what: str) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            elif done <= last[what]:
                bar.reset(tasks[what], total=total)
            last[what] = done
            bar.update(tasks[what], completed=done, total=total)

        yield report


@dataclass
class _Round:
    """One count from its beginning."""

    start: float
    done: int
    shown: float


@dataclass
class _Lines:
    """`calibration batches: 12 of 64, 0:31 so far, about 2:14 left`, every `INTERVAL` seconds."""

    console: Console
    clock: Callable[[], float]
    #: When what is reported next began, as far as it is known.
    rounds: dict[str, _Round] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._latest = self.clock()

    def report(self, done: int, total: int | None, what: str) -> None:
        """Take in how far it is; write a line where the last one is long ago."""
        now, known = self.clock(), self.rounds.get(what)
        if known is None or done <= known.done:
            # What is done by now began when the call before came, at the latest.
            known = self.rounds[what] = _Round(self._latest, done, self._latest)
        self._latest, known.done = now, done
        if now - known.shown >= INTERVAL:
            known.shown = now
            show(self.console, _line(done, total, what, now - known.start))


def _line(done: int, total: int | None, what: str, seconds: float) -> str:
    far = f"{what}: {done}" + (f" of {total}" if total else "")
    left = f", about {_time(seconds / done * (total - done))} left" if total and done else ""
    return f"{far}, {_time(seconds)} so far{left}"


def _time(seconds: float) -> str:
    """`0:07`, `12:40`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
