"""report.html: what stands in the file, before any browser draws it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sparqc.tools import cli
from sparqc.tools.page.libraries import libraries
from sparqc.tools.page.report_page import inert_json, report_page
from sparqc.tools.page.rule_texts import place_of, rule_texts
from tests import small_models
from tests.pages import read_page, shown_run

HOSTILE = "</script><script>alert(1)</script>\"'<!--&"


@dataclass
class Text:
    """A stage as the page asks for it."""

    text: str
    number: int = 0
    name: str = "read"
    level: str = "fx"

    @property
    def file(self) -> str:
        return f"graphs/{self.number:02}-{self.name}.{self.level}.txt"


RUN: dict[str, Any] = {"model": "model.py", "passes": "", "target": "", "error": "", "command": [],
                       "versions": {}, "report": None}  # fmt: skip


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dump of one compile in which most passes have something to do."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "model.py").write_text(small_models.MODEL)
    words = ["--passes", "all-sparse", "--dump", str(folder / "run"), "--quiet"]
    model, output = str(folder / "model.py"), str(folder / "out.onnx")
    assert cli.run(["compile", model, "-o", output, *words]) == 0
    return folder / "run"


def test_the_page_needs_nothing_else(dump: Path) -> None:
    page = read_page(dump / "report.html")
    assert all(link.startswith("#") for link in page.links)
    assert "link" not in page.tags and "img" not in page.tags
    assert page.tags.count("script") == 4  # the run, the layout, the libraries, the page's own


def test_each_graph_is_its_lines(dump: Path) -> None:
    shown = shown_run(dump)
    for stage in shown["stages"]:
        lines = (dump / stage["file"]).read_text().splitlines()
        assert [shown["lines"][n]["text"] for n in stage["lines"]] == [x.strip() for x in lines]
    assert len(shown["lines"]) < sum(len(stage["lines"]) for stage in shown["stages"])


def test_a_line_says_what_its_node_reads_and_where_it_comes_from(dump: Path) -> None:
    shown = shown_run(dump)
    (line,) = [x for x in shown["lines"] if x.get("out") == ["batch_norm"]]
    assert line["op"] == "nn.batch_norm" and line["in"][0] == "conv"
    assert line["module"] == "bn1" and line["source"] == "model.py:14"
    assert shown["sources"]["model.py:14"] == "y = torch.relu(self.bn1(self.conv1(x)))"


def test_rules_come_with_their_text(dump: Path) -> None:
    shown = shown_run(dump)
    (folded,) = [e for e in shown["events"] if e.get("rule") == "fold_batch_norm"]
    text = shown["rules"][place_of(folded["span"])]
    assert text.startswith("rule fold_batch_norm") and "rewrite:" in text
    assert "example:" not in text


def test_the_predicted_kernels_hold_the_nodes(dump: Path) -> None:
    shown = shown_run(dump)
    (kernel,) = [k for k in shown["engine"]["kernels"] if "conv_1" in k["values"]]
    assert kernel["int8"] and kernel["bytes_read"] > 0 and kernel["seconds"] > 0
    last = {name for n in shown["stages"][-1]["lines"] for name in shown["lines"][n].get("out", ())}
    assert set(kernel["values"]) <= last


def test_a_rule_whose_file_is_gone_has_no_text() -> None:
    assert rule_texts(["elsewhere/mine.spq:3", "patterns/algebra/fold.spq:99999"]) == {}


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("patterns/algebra/fold.spq:3:6", "patterns/algebra/fold.spq:3"),
        ("a b.spq:12 fold", "a b.spq:12"),
        ("prune", ""),
        (".spq:", ""),
    ],
)
def test_places_of_rules(words: str, place: str) -> None:
    assert place_of(words) == place


def test_hostile_names_stay_inside_the_json(tmp_path: Path) -> None:
    text = f'graph "{HOSTILE.replace(chr(34), "")}" on fx (x: f32[1]) -> (x):\n    return x\n'
    page = report_page({**RUN, "model": HOSTILE, "error": HOSTILE}, [], [Text(text)])
    (tmp_path / "report.html").write_text(page)
    read = read_page(tmp_path / "report.html")
    assert read.tags.count("script") == 4 and "<script>alert" not in page
    assert shown_run(tmp_path)["run"]["model"] == HOSTILE


def test_json_in_a_page_has_no_infinity() -> None:
    assert inert_json({"a": [float("inf"), (float("nan"), 1.5)]}) == '{"a":[null,[null,1.5]]}'


def test_a_text_that_is_no_graph_leaves_the_page(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(report_page(RUN, [], [Text("graph of nothing")]))
    shown = shown_run(tmp_path)
    assert shown["stages"] == [] and shown["unread"] == ["graphs/00-read.fx.txt"]


@pytest.mark.parametrize("library", libraries(), ids=lambda library: library.name)
def test_libraries_are_what_they_say_and_bring_their_licence(library: Any) -> None:
    assert "Permission" in library.licence or "Redistribution" in library.licence
    assert library.version in library.code or library.worker
    assert "</script" not in library.code and "sourceMappingURL" not in library.code
