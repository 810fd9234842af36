"""Whose Python a run directory has run: what was said here, and nothing of a stranger's."""

from __future__ import annotations

import json
import shlex
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparqc.tools import cli
from tests.tools.conftest import SEEDED
from tests.tools.runs.conftest import Ask

#: Python that leaves a trace where it is run.
EVIL = "from pathlib import Path\nPath({canary!r}).write_text('run')\n"

COMMANDS = [
    "replay {run}",
    "bisect {run} --min-snr 10",
    "reduce {run} --min-snr 10",
    "whynot {run} conv_act",
]

Tamper = Callable[..., None]


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that is there once a stranger's Python was run."""
    return tmp_path / "canary"


@pytest.fixture
def evil(run: Path, canary: Path) -> Path:
    """Python that came with a run."""
    (run / "evil.py").write_text(EVIL.format(canary=str(canary)) + SEEDED)
    return run / "evil.py"


@pytest.fixture
def tamper(run: Path) -> Tamper:
    """`tamper(model=…)`: what the run says that it was asked."""

    def tamper(**said: Any) -> None:
        file = run / "run.json"
        data = json.loads(file.read_text())
        file.write_text(json.dumps(data | {"request": data["request"] | said}))

    return tamper


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("what", ["model", "imports"])
def test_python_that_a_changed_run_names_is_not_run(
    command: str, what: str, run: Path, evil: Path, tamper: Tamper, canary: Path, ask: Ask
) -> None:
    tamper(**{what: str(evil) if what == "model" else [str(evil)]})
    said = ask(command.format(run=run), code=2)
    assert "was not made by this account, or was changed since" in said
    assert str(evil) in said and "--trust" in said
    assert not canary.exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_trust_runs_it(
    command: str, run: Path, evil: Path, tamper: Tamper, canary: Path, ask: Ask
) -> None:
    tamper(model=str(evil))
    cli.run(shlex.split(command.format(run=run) + " --trust"))
    assert canary.exists()


def test_a_folder_that_the_model_is_looked_for_in_is_signed_too(
    tmp_path: Path, ask: Ask, canary: Path
) -> None:
    (tmp_path / "model.py").write_text(SEEDED)
    ask("compile model.py -o o.onnx --passes int8 --dump run --quiet")
    (tmp_path / "run" / "model.py").write_text(EVIL.format(canary=str(canary)) + SEEDED)
    file = tmp_path / "run" / "run.json"
    assert "passes made" in ask("replay run")
    file.write_text(file.read_text().replace(f'"{tmp_path}"', '"run"'))
    assert "--trust" in ask("replay run", code=2)
    assert not canary.exists()


def test_the_run_of_another_person_asks_for_trust(
    dumped: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
    assert "--trust" in ask(f"replay {dumped}", code=2)  # who never signed anything
    (tmp_path / "model.py").write_text(SEEDED)
    ask("compile model.py -o o.onnx --passes int8 --dump run --quiet")
    assert "--trust" in ask(f"replay {dumped}", code=2)  # who has a key
    assert "passes made" in ask(f"replay {dumped} --trust")
    assert "passes made" in ask("replay run")


def test_the_key_is_for_its_owner_alone_and_not_in_the_dump(dumped: Path, state: Path) -> None:
    key = state / "sparqc" / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and len(key.read_bytes()) == 32
    for file in (f for f in dumped.rglob("*") if f.is_file()):
        assert key.read_bytes() not in file.read_bytes()
        assert key.read_bytes().hex() not in file.read_text(errors="ignore")


@pytest.mark.parametrize("damage", ["", "short"])
def test_a_damaged_key_signs_nothing(
    damage: str, dumped: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state" / "sparqc").mkdir(parents=True)
    (tmp_path / "state" / "sparqc" / "key").write_text(damage)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "model.py").write_text(SEEDED)
    ask("compile model.py -o o.onnx --passes int8 --dump run --quiet")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["signature"] is None
    assert "--trust" in ask("replay run", code=2)


def test_where_no_key_can_be_made_a_dump_is_written_without_a_signature(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    (tmp_path / "model.py").write_text(SEEDED)
    ask("compile model.py -o o.onnx --passes int8 --dump run --quiet")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["signature"] is None
    assert "--trust" in ask("replay run", code=2)
    assert "passes made" in ask("replay run --trust")


def test_what_runs_no_python_needs_no_trust(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.py").write_text(SEEDED)
    ask("compile model.py -o float.onnx --passes export --quiet --dump whole --with-weights")
    ask("compile float.onnx -o o.onnx --passes int8 --random-calibration --dump run --quiet")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
    assert "passes made" in ask("replay run")  # an ONNX file is data
    assert "passes made" in ask("replay whole")  # and so are the weights that a run holds


def test_a_replay_of_a_strangers_run_does_not_sign_it(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.py").write_text(SEEDED)
    ask("compile model.py -o o.onnx --passes int8 --quiet --dump whole --with-weights")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
    ask("replay whole --dump again")  # needs no Python
    assert "--trust" in ask("replay again", code=2)  # needs that of the stranger
    ask("replay whole --trust --dump trusted")
    assert "passes made" in ask("replay trusted")


def test_a_command_of_a_check_runs_where_it_was_typed(ask: Ask, tmp_path: Path, run: Path) -> None:
    """Not in the folder that the run names, where `judge.py` may be a stranger's."""
    (tmp_path / "judge.py").write_text("open('mine', 'w')\nraise SystemExit(0)\n")
    cli.run(shlex.split(f"bisect {run} --check 'python judge.py {{}}'"))
    assert (tmp_path / "mine").exists()
