"""Rich text on a console, as people copy it."""

from __future__ import annotations

from typing import IO

from rich.console import Console, RenderableType

#: Columns where there is no terminal to ask, so that a piped report is the same everywhere.
PLAIN_WIDTH = 100


def plain_console(stream: IO[str]) -> Console:
    """Plain text of `PLAIN_WIDTH` columns."""
    return Console(
        file=stream, width=PLAIN_WIDTH, highlight=False, markup=False, emoji=False,
        color_system=None, legacy_windows=False,
    )  # fmt: skip


def show(console: Console, *renderables: RenderableType, soft_wrap: bool = False) -> None:
    """Write to a console without the blanks that tables fill their lines up with."""
    with console.capture() as captured:
        console.print(*renderables, soft_wrap=soft_wrap)
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")
    console.file.flush()
