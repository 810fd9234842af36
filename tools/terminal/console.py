"""Where text for a person goes: the report to stdout, notes and progress to stderr."""

from __future__ import annotations

import sys

from rich.console import Console

from sparqc.report.show import PLAIN_WIDTH


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
