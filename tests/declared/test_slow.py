"""A call that runs for long is told of, once, while it runs."""

from __future__ import annotations

import threading

import pytest

from sparqc.declared import slow


def test_a_slow_call_is_told_of_once_and_a_quick_one_never(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slow, "SLOW", 0.01)
    slow._watchdog.cache_clear()  # one that looks as often as this asks for
    with slow.told_when_slow(lambda seconds: "quick"):
        pass
    for name in ("first", "second"):
        asked = threading.Event()
        with slow.told_when_slow(lambda seconds, name=name, asked=asked: asked.set() or name):
            assert asked.wait(60)
    slow._watchdog.cache_clear()
    told = capsys.readouterr().err
    # The second one may be on its way still.
    assert told.startswith("note: first\n") and told.count("first") == 1 and "quick" not in told
