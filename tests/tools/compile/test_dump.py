"""The directory that --dump writes: what is in it, and when it may replace another."""

from __future__ import annotations

import json
import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sparqc.errors import SparqcError
from sparqc.ir.text.print import parse_graph, print_graph
from sparqc.ir.vocabulary.table import default_table
from sparqc.tools import cli
from sparqc.tools.compile.dump import Run, write_dump
from sparqc.tools.compile.recorder import GraphRecorder
from tests import small_models


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
    compile_in(dump.parent, "failed", "--passes", "fold, place, export", code=1)
    failed = dump.parent / "failed"
    run = json.loads((failed / "run.json").read_text())
    assert "calibrate" in run["error"] and run["report"] is None
    assert sorted(p.name for p in (failed / "graphs").iterdir())[-1] == "02-place.fx.txt"
    assert run["error"].splitlines()[0] in text_of(failed / "report.html")


def test_wrong_use_leaves_an_earlier_dump_alone(dump: Path) -> None:
    compile_in(dump.parent, "kept", "--passes", "float")
    before = (dump.parent / "kept" / "run.json").read_bytes()
    compile_in(dump.parent, "kept", "--target", "none", code=2)
    assert (dump.parent / "kept" / "run.json").read_bytes() == before


# -- report.html -------------------------------------------------------------------------------


class Page(HTMLParser):
    """The text of a page, and what it would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read_page(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def text_of(path: Path) -> str:
    return " ".join("".join(read_page(path).text).split())


def test_the_page_needs_nothing_else(dump: Path) -> None:
    page = read_page(dump / "report.html")
    assert page.links == []
    assert "link" not in page.tags and "img" not in page.tags


def test_the_page_shows_layers_events_and_graphs(dump: Path) -> None:
    shown = text_of(dump / "report.html")
    assert "3 with weights: 3 in INT8, 3 sparse 2:4" in shown
    assert "fold_batch_norm" in shown
    assert "patterns/algebra/fold.spq" in shown
    (last,) = dump.glob("graphs/*-surgery.onnx.txt")
    assert last.read_text().splitlines()[-1].strip() in shown


def test_what_a_model_is_called_is_no_html(tmp_path: Path) -> None:
    run = Run(["sparqc"], "<script>alert(1)</script>.py", "default", "", error="a < b & c")
    write_dump(tmp_path / "run", run, GraphRecorder())
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<script>alert" not in page and "a &lt; b &amp; c" in page


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
