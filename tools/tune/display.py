"""What a person sees of a run: a line for each epoch, and a bar on a terminal.  On stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sparqc.report.show import show
from sparqc.rewrite.context import Progress
from sparqc.tools.terminal.console import stderr_console
from sparqc.tools.terminal.progress import progress_bar


@dataclass(frozen=True)
class Display:
    """Says things, or nothing: only the first of several ranks talks."""

    talks: bool = True

    def say(self, text: str) -> None:
        """One line."""
        if self.talks:
            show(stderr_console(), text, soft_wrap=True)

    @contextmanager
    def bar(self) -> Iterator[Progress]:
        """What to call as (done, total, what) while something takes long."""
        with progress_bar(self.talks) as report:
            yield report or _nothing


def _nothing(done: int, total: int | None, what: str) -> None:
    """Nobody looks."""


@dataclass(frozen=True)
class EpochLine:
    """What is known at the end of an epoch."""

    stage: str
    epoch: int  # from 1
    epochs: int
    loss: float
    lr: float
    samples: int
    seconds: float
    #: Until the end of the stage, at the speed so far; None where there is no telling.
    left: float | None

    def __str__(self) -> str:
        speed = f", {self.samples / self.seconds:.0f} samples/s" if self.seconds > 0 else ""
        left = f", {duration(self.left)} left" if self.left else ""
        return (
            f"{self.stage} epoch {self.epoch}/{self.epochs}: loss {self.loss:.4g}, "
            f"learning rate {self.lr:.3g}{speed}{left}"
        )


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
