"""Run directories that are partial, of another version, or tampered with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparqc.tools import cli
from tests.tools.runs.conftest import Ask


def test_a_partial_run_says_what_is_missing(run: Path, ask: Ask) -> None:
    (run / "events.jsonl").unlink()
    assert "partial run: events.jsonl is missing" in ask("inspect run", code=2)
    for file in (run / "graphs").iterdir():
        file.unlink()
    (run / "events.jsonl").touch()
    assert "partial run: it has no graphs" in ask("why run conv", code=2)


@pytest.mark.parametrize(("schema", "said"), [(None, "says no version"), (99, "is of version 99")])
def test_a_run_of_another_version_is_refused(
    run: Path, ask: Ask, schema: int | None, said: str
) -> None:
    data = json.loads((run / "run.json").read_text())
    data["schema"] = schema
    (run / "run.json").write_text(json.dumps(data))
    assert said in ask("inspect run", code=2)


def test_a_directory_that_is_none_is_refused(tmp_path: Path, ask: Ask) -> None:
    (tmp_path / "other").mkdir()
    assert "it has no run.json" in ask("inspect other", code=2)
    assert "is no directory" in ask("diff nothing other", code=2)


@pytest.mark.parametrize("line", ["{", "[]", '{"kind": "pass"}', '{"kind": 1, "seq": 1}', "\\u00"])
def test_an_event_that_is_none_is_named_with_its_line(run: Path, ask: Ask, line: str) -> None:
    file = run / "events.jsonl"
    first, *rest = file.read_text().splitlines()
    file.write_text("\n".join([first, line, *rest]))
    assert "events.jsonl:2: this is no" in ask("why run conv", code=2)


def test_bytes_that_are_no_text_are_refused(run: Path, ask: Ask) -> None:
    (run / "run.json").write_bytes(b"\xff\xfe")
    assert "it is no text" in ask("inspect run", code=2)


def test_a_graph_edited_by_hand_is_shown_with_a_caret(run: Path, ask: Ask) -> None:
    (file,) = (run / "graphs").glob("*-place.fx.txt")
    lines = file.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if " = nn.relu(" in line)
    lines[at] = lines[at].replace("nn.relu(", "nn.rellu(")
    file.write_text("\n".join(lines) + "\n")
    said = ask("diff run fold place", code=2)
    assert f"{file.name}:{at + 1}:" in said and "nn.rellu" in said and "^" in said
    assert "did you mean" in said


def test_options_for_runs_are_refused_for_models(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").touch()
    assert "--json is for a run directory" in ask("inspect m.onnx --json", code=2)
    assert "--json is for a run directory" in ask("why m.onnx conv --json", code=2)


#: In the place of any field.
WRONG = [None, 3, -1.5, "x", [], [3], {}, {"before": 3}, [{"weight": {}}], '<b>&\\"', True]


@pytest.mark.parametrize("kind", ["pass", "rule", "decision"])
def test_fields_of_any_kind_are_no_bug_of_ours(run: Path, kind: str) -> None:
    file = run / "events.jsonl"
    events = [json.loads(line) for line in file.read_text().splitlines()]
    place = next(i for i, event in enumerate(events) if event["kind"] == kind)
    for field in events[place]:
        for wrong in WRONG:
            changed = [*events]
            changed[place] = {**events[place], field: wrong}
            file.write_text("".join(json.dumps(event) + "\n" for event in changed))
            for question in (["inspect"], ["inspect", "--time"], ["why", "*"]):
                command, *rest = question
                code = cli.run([command, str(run), *rest])
                assert code in (0, 2), (field, wrong, question)


def test_fields_of_a_run_of_any_kind_are_no_bug_of_ours(run: Path) -> None:
    file = run / "run.json"
    data = json.loads(file.read_text())
    for field in data:
        for wrong in WRONG:
            file.write_text(json.dumps({**data, field: wrong}))
            for question in (["inspect"], ["inspect", "--time"], ["why", "conv"]):
                command, *rest = question
                assert cli.run([command, str(run), *rest]) in (0, 2), (field, wrong, question)
