"""Where the seconds of a run went, and why a rule did not fire in it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from tests.tools.runs.conftest import Ask


def test_seconds_stand_in_a_tree(run: Path, ask: Ask) -> None:
    lines = ask("inspect run --time").splitlines()
    names = [line[9:] for line in lines]
    assert names[0] == "  all" and "    reading" in names
    compiling, fold = names.index("    compiling"), names.index("      fold")
    assert compiling < fold and names[fold + 1] == "        fold_batch_norm, 1 times"
    assert names.index("    writing") > fold


def test_a_trace_has_every_event_in_its_place(run: Path, ask: Ask, tmp_path: Path) -> None:
    ask("inspect run --trace trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    complete = {e["name"]: e for e in events if e["ph"] == "X"}
    rule, fold = complete["fold_batch_norm"], complete["fold"]
    assert fold["ts"] <= rule["ts"] and rule["ts"] + rule["dur"] <= fold["ts"] + fold["dur"]
    passes = [e for e in events if e.get("cat") == "pass"]
    assert all(a["ts"] + a["dur"] <= b["ts"] for a, b in pairwise(passes))
    instants = [e for e in events if e["ph"] == "i"]
    assert any(e["name"] == "insert conv1.weight" for e in instants)
    assert all(e.keys() >= {"name", "ph", "pid", "tid"} for e in events)


def test_whynot_asks_the_graph_in_front_of_the_pass(run: Path, ask: Ask) -> None:
    said = ask("whynot run fold_batch_norm")
    assert "fold_batch_norm matches here" in said  # it did: that is why it fired
    behind = json.loads(ask("whynot run fold_batch_norm --after fold --json"))
    assert "the graph has none" in behind["answers"][0]["answer"]
    assert behind["graph"].endswith("-fold.fx.txt") and behind["schema"] == 1
    near = ask("whynot run conv_add_act --near conv")
    assert near.startswith("conv (conv1):") and "matches here" not in near


def test_whynot_knows_no_such_rule(run: Path, ask: Ask) -> None:
    assert "fold_batch_nrm" in ask("whynot run fold_batch_nrm", code=2)


def test_trace_and_time_are_for_runs(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").touch()
    assert "--time is for a run directory" in ask("inspect m.onnx --time", code=2)
    assert "--trace is for a run directory" in ask("inspect m.onnx --trace t.json", code=2)
