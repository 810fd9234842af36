"""The progress bar: on a terminal, and nowhere else."""

import io

import pytest
from rich.console import Console

from sparqc.tools import progress
from sparqc.tools.progress import progress_bar


def test_nothing_is_shown_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as report:
        assert report is None
    assert capsys.readouterr().err == ""


def test_a_terminal_sees_what_is_done_and_how_far(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    terminal = Console(file=stream, force_terminal=True, width=80)
    monkeypatch.setattr(progress, "stderr_console", lambda: terminal)
    with progress_bar() as report:
        assert report is not None
        report(1, 4, "calibration batches")
        report(4, 4, "calibration batches")
    assert "calibration batches" in stream.getvalue() and "4/4" in stream.getvalue()


def test_nobody_who_wants_quiet_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr(progress, "stderr_console", lambda: terminal)
    with progress_bar(wanted=False) as report:
        assert report is None
