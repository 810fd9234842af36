"""Progress: a bar with the time that is left on a terminal, a line now and then elsewhere."""

import io

import pytest
from rich.console import Console

from sparqc.tools.terminal import progress
from sparqc.tools.terminal.progress import progress_bar


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_soon_over_shows_nothing_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with progress_bar(clock=clock) as report:
        assert report is not None
        for done in range(1, 30):
            clock.now += 1
            report(done, 29, "calibration batches")
    assert capsys.readouterr().err == ""


def test_a_line_every_half_minute_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with progress_bar(clock=clock) as report:
        assert report is not None
        for done in range(1, 8):
            clock.now += 10
            report(done, 400, "calibration batches")
        clock.now += 3600
        report(8, 400, "calibration batches")
    assert capsys.readouterr().err.splitlines() == [
        "calibration batches: 3 of 400, 0:30 so far, about 1:06:10 left",
        "calibration batches: 6 of 400, 1:00 so far, about 1:05:40 left",
        "calibration batches: 8 of 400, 1:01:10 so far, about 49:57:10 left",
    ]


def test_a_count_without_an_end_has_no_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with progress_bar(clock=clock) as report:
        assert report is not None
        clock.now += 31
        report(5, None, "calibration batches")
    assert capsys.readouterr().err == "calibration batches: 5, 0:31 so far\n"


def test_a_new_round_of_the_same_thing_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with progress_bar(clock=clock) as report:
        assert report is not None
        for done in (1, 2, 1):
            clock.now += 20
            report(done, 2, "calibration batches")
        clock.now += 20
        report(2, 2, "calibration batches")
    assert capsys.readouterr().err.splitlines() == [
        "calibration batches: 2 of 2, 0:40 so far, about 0:00 left",
        "calibration batches: 2 of 2, 0:40 so far, about 0:00 left",
    ]


def test_a_terminal_sees_what_is_done_and_how_far(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    terminal = Console(file=stream, force_terminal=True, width=100)
    monkeypatch.setattr(progress, "stderr_console", lambda: terminal)
    with progress_bar() as report:
        assert report is not None
        report(1, 4, "calibration batches")
        report(4, 4, "calibration batches")
        report(1, 4, "calibration batches")
        report(4, 4, "calibration batches")
    shown = stream.getvalue()
    assert "calibration batches" in shown
    assert "4/4" in shown
    assert "left:" in shown
    assert "0:00:00" in shown


@pytest.mark.parametrize("terminal", [True, False])
def test_nobody_who_wants_quiet_sees_it(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal)
    monkeypatch.setattr(progress, "stderr_console", lambda: console)
    with progress_bar(wanted=False) as report:
        assert report is None
