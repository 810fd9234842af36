"""What `inspect run/ --tui` says where it cannot open."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sparqc.tools import cli
from sparqc.tools.tui import open as opening


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The least that is a run."""
    folder = tmp_path / "run"
    (folder / "graphs").mkdir(parents=True)
    (folder / "graphs" / "00-read.fx.txt").write_text("graph g on fx () -> ():\n    return\n")
    (folder / "run.json").write_text(json.dumps({"schema": 1}))
    (folder / "events.jsonl").touch()
    return folder


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.run(["inspect", *words, "--tui"]) == 2
    return capsys.readouterr().err


def test_without_a_terminal_it_names_the_command_that_prints(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, str(run))
    assert "--tui needs a terminal" in text and f"sparqc inspect {run}" in text


def test_a_missing_package_is_named_with_what_to_type(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'sparqc[tui]'" in said(capsys, str(run))


def test_a_model_is_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--tui is for a run directory" in said(capsys, "model.py")


def test_a_run_of_another_version_and_a_partial_one(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "events.jsonl").unlink()
    assert "partial run" in said(capsys, str(run))
    (run / "run.json").write_text(json.dumps({"schema": 7}))
    assert "is of version 7" in said(capsys, str(run))


def test_the_other_commands_do_without_the_package() -> None:
    assert not any(
        name.startswith("textual") for name in _loaded_by("import sparqc.tools.inspect.command")
    )


def _loaded_by(code: str) -> list[str]:
    import subprocess

    program = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
