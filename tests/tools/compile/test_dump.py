"""The directory that --dump writes: what is in it, and when it may replace another."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sparqc.errors import SparqcError
from sparqc.ir.text.print import parse_graph, print_graph
from sparqc.ir.vocabulary.table import default_table
from sparqc.tools import cli
from sparqc.tools.compile.dump import Run, write_dump
from sparqc.tools.compile.recorder import GraphRecorder
from tests import small_models
from tests.pages import shown_run


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dump of one compile in which most passes have something to do."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "model.py").write_text(small_models.MODEL)
    compile_in(folder, "run", "--passes", "all-sparse")
    return folder / "run"


def compile_in(folder: Path, name: str, *words: str, code: int = 0) -> None:
    command = ["compile", str(folder / "model.py"), "-o", str(folder / "out.onnx")]
    assert cli.run([*command, "--dump", str(folder / name), "--quiet", *words]) == code


def test_what_lies_in_it(dump: Path) -> None:
    files = {str(p.relative_to(dump)) for p in dump.rglob("*") if p.is_file()}
    graphs = {name for name in files if name.startswith("graphs/")}
    assert files - graphs == {"run.json", "events.jsonl", "report.html"}
    assert "graphs/00-read.fx.txt" in graphs
    assert {name.partition("-")[2] for name in graphs} >= {
        "prune.fx.txt",
        "fold.fx.txt",
        "place.fx.txt",
        "calibrate.fx.txt",
        "export.onnx.txt",
    }
    assert "check.onnx.txt" not in {name.partition("-")[2] for name in graphs}


def test_run_json_says_what_ran(dump: Path) -> None:
    run = json.loads((dump / "run.json").read_text())
    assert run["versions"].keys() >= {"sparqc", "python", "torch", "onnx"}
    assert run["command"][0] == "sparqc"
    assert run["report"]["int8_layers"] == 3
    assert run["error"] == ""


def test_every_event_is_a_line(dump: Path) -> None:
    events = [json.loads(line) for line in (dump / "events.jsonl").read_text().splitlines()]
    passes = [e["pass"] for e in events if e["kind"] == "pass"]
    assert passes[-1] == "check" and "fold" in passes
    (folded,) = [e for e in events if e["kind"] == "rule" and e["rule"] == "fold_batch_norm"]
    assert folded["module"] == "bn1"
    assert folded["span"].startswith("patterns/algebra/fold.spq:")


def test_graphs_parse_back(dump: Path) -> None:
    for file in sorted(dump.glob("graphs/*")):
        text = file.read_text()
        assert print_graph(parse_graph(text, default_table())) == text, file.name


def test_graphs_carry_where_each_node_comes_from(dump: Path) -> None:
    (folded,) = dump.glob("graphs/*-fold.fx.txt")
    line = next(x for x in folded.read_text().splitlines() if " = nn.conv(" in x)
    assert "# conv1 model.py:14" in line and "fold_batch_norm" in line


def test_two_runs_give_the_same_graphs(dump: Path) -> None:
    compile_in(dump.parent, "again", "--passes", "all-sparse")
    again = dump.parent / "again"
    names = sorted(p.name for p in dump.glob("graphs/*"))
    assert names == sorted(p.name for p in again.glob("graphs/*"))
    assert all(
        (dump / "graphs" / name).read_bytes() == (again / "graphs" / name).read_bytes()
        for name in names
    )


def test_an_earlier_dump_is_replaced(dump: Path) -> None:
    compile_in(dump.parent, "twice", "--passes", "float")
    compile_in(dump.parent, "twice", "--passes", "float, -cleanup")
    run = json.loads((dump.parent / "twice" / "run.json").read_text())
    assert run["passes"] == "float, -cleanup"


def test_a_failed_compile_says_how_far_it_came(dump: Path) -> None:
    compile_in(dump.parent, "failed", "--passes", "fold, place, export", code=3)
    failed = dump.parent / "failed"
    run = json.loads((failed / "run.json").read_text())
    assert "calibrate" in run["error"] and run["report"] is None
    assert sorted(p.name for p in (failed / "graphs").iterdir())[-1] == "02-place.fx.txt"
    assert run["error"] == shown_run(failed)["run"]["error"]


def test_wrong_use_leaves_an_earlier_dump_alone(dump: Path) -> None:
    compile_in(dump.parent, "kept", "--passes", "float")
    before = (dump.parent / "kept" / "run.json").read_bytes()
    compile_in(dump.parent, "kept", "--target", "none", code=2)
    assert (dump.parent / "kept" / "run.json").read_bytes() == before


# -- failures ----------------------------------------------------------------------------------

RUN = Run(["sparqc"], "model.py", "default", "")


def test_a_dump_that_cannot_be_exchanged_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dump(tmp_path / "run", RUN, GraphRecorder())
    before = (tmp_path / "run" / "run.json").read_bytes()
    real = os.replace

    def fail(old: object, new: object) -> None:
        if Path(str(old)).name == "new":
            raise OSError(28, "No space left on device")
        real(str(old), str(new))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(SparqcError, match="No space left on device"):
        write_dump(tmp_path / "run", RUN, GraphRecorder())
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
