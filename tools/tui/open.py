"""What a terminal view needs before it opens."""

from __future__ import annotations

import importlib.util
import sys

from sparqc.errors import UsageError
from sparqc.tools.runs.folder import RunFolder


def show_run(run: RunFolder) -> None:
    """Show a run until the person leaves.

    Raises UsageError where textual is not installed, where there is no terminal, and for a run that
    cannot be read.
    """
    require_textual()
    if not (sys.stdin.isatty() and sys.stderr.isatty()):  # textual draws on stderr
        raise UsageError(
            "--tui needs a terminal", hint=f"`sparqc inspect {run.path}` prints the passes"
        )
    from sparqc.tools.tui.app import RunApp
    from sparqc.tools.tui.run_view import RunView

    RunApp(RunView.of(run)).run()


def require_textual() -> None:
    """UsageError, with what to type, where the package is missing."""
    if importlib.util.find_spec("textual") is None:
        raise UsageError(
            "--tui needs the package textual, which is not installed",
            hint="pip install 'sparqc[tui]', or pip install textual",
        )
