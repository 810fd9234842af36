"""Where text for a person goes: the report to stdout, notes and progress to stderr."""

from __future__ import annotations

import sys

from rich.console import Console, RenderableType

#: Columns where there is no terminal to ask, so that a piped report is the same everywhere.
PLAIN_WIDTH = 100


def stdout_console() -> Console:
    """For results; plain text, 100 columns wide, where it is piped."""
    return _console(stderr=False)


def stderr_console() -> Console:
    """For notes and progress."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PLAIN_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def show(console: Console, *renderables: RenderableType, soft_wrap: bool = False) -> None:
    """Print without the blanks that tables fill their lines up with."""
    with console.capture() as captured:
        console.print(*renderables, soft_wrap=soft_wrap)
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")
    console.file.flush()
