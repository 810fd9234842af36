"""What the commands on a run say."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from sparqc.tools import cli

Ask = Callable[..., str]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """`ask("inspect run")`: what stdout says, or stderr where it is wrongly used."""
    monkeypatch.chdir(tmp_path)

    def ask(line: str, code: int = 0) -> str:
        assert cli.run(shlex.split(line)) == code, capsys.readouterr().err
        shown = capsys.readouterr()
        return shown.err if code == 2 else shown.out

    return ask
