"""`sparqc natives`: the functions that pattern files call, and their page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparqc.base.plugins import OWN
from sparqc.tools.reference.natives.entry import NativeEntry, entries
from tests.tools.rules.conftest import Ask

ROOT = Path(__file__).parents[3]
ENTRIES = {name: entry for name, entry in entries().items() if entry.distribution == OWN}

MINE = '''\
from sparqc.extend import Array, native


@native("reference_is_small")
def is_small(w: Array | None, limit: float = 1.0) -> bool:
    """Whether no number is above a limit.  Of absent ones it holds."""
    return w is None or bool((abs(w) <= limit).all())
'''


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    """Otherwise: sparqc natives --write docs/natives.md"""
    # A process of its own: other tests make natives too.
    command = [sys.executable, "-m", "sparqc.tools.cli", "natives", "--write", "natives.md"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (ROOT / "docs/natives.md").read_text() == (tmp_path / "natives.md").read_text()


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_a_native_says_what_it_means_and_where_it_stands(entry: NativeEntry) -> None:
    assert entry.native.doc, "a native needs a docstring"
    assert f"def {entry.native.function.__name__}(" in (ROOT / entry.file).read_text()
    assert entry.example.startswith(f"@{entry.native.name}(")


def test_a_native_is_told_with_what_it_is_given(ask: Ask) -> None:
    told = ask("natives @fold_batch_norm")
    assert "passes/natives/fold_batch_norm.py" in told
    assert "b           a constant operand, given as its array; None where it is absent" in told
    assert "epsilon     a number" in told
    assert "called by   fold_batch_norm, " in told


def test_one_of_a_persons_own_is_told_too(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "reference_own.py").write_text(MINE)
    told = ask("natives reference_is_small --import reference_own.py")
    assert "@reference_is_small(w: Array | None, limit: float = 1.0) -> bool" in told
    assert "reference_own" in told
    assert "called as   @reference_is_small(w, limit)" in told


def test_every_native_is_listed_and_in_json(ask: Ask) -> None:
    listed = {line.split()[0] for line in ask("natives").splitlines()}
    assert listed >= {f"@{name}" for name in ENTRIES}
    told = json.loads(ask("natives --json"))
    assert told["schema"] == 1
    assert {row["name"] for row in told["natives"]} >= set(ENTRIES)
    (one,) = json.loads(ask("natives divides --json"))["natives"]
    assert one["used_by"] == ["adaptive_to_average_pool"]
    assert [p["kind"] for p in one["parameters"]] == ["plain", "plain"]


def test_a_wrong_name_is_told_what_was_meant(ask: Ask) -> None:
    told = ask("natives fold_batchnorm", code=2)
    assert "did you mean 'fold_batch_norm'" in told and "--import FILE.py" in told
