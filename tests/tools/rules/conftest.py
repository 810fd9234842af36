"""What `sparqc rules` says."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from sparqc.tools import cli

Ask = Callable[..., str]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """`ask("rules list")`: what stdout and stderr say."""
    monkeypatch.chdir(tmp_path)

    def ask(line: str, code: int = 0) -> str:
        assert cli.run(shlex.split(line)) == code
        shown = capsys.readouterr()
        return shown.out + shown.err

    return ask
