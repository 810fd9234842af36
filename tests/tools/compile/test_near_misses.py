"""What the rules of a pass nearly matched, as a dump keeps it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparqc.tools import cli
from sparqc.tools.compile.near_misses import near_misses
from tests import small_models
from tests.match.sketches import book_of, context_of, graph_of

#: A BatchNorm behind a convolution that somebody else reads too: its rule stops at the guard.
SHARED = small_models.MODEL.replace(
    "y = torch.relu(self.bn1(self.conv1(x)))",
    "c = self.conv1(x); y = torch.relu(self.bn1(c)) + c",
)


@pytest.fixture
def dumped(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text(SHARED)
    words = ["--passes", "int8", "--quiet", "--dump", str(tmp_path / "run")]
    assert cli.run(["compile", str(tmp_path / "model.py"), "-o", str(tmp_path / "o"), *words]) == 0
    return tmp_path / "run"


def test_a_rule_that_stops_at_an_operand_names_its_line_and_the_reason(dumped: Path) -> None:
    run = json.loads((dumped / "run.json").read_text())
    (miss,) = [m for m in run["near_misses"] if m["rule"] == "fold_batch_norm"]
    assert miss["pass"] == "fold" and miss["count"] == 1
    assert miss["span"].startswith("patterns/algebra/fold.spq:")
    assert miss["line"].startswith("patterns/algebra/fold.spq:")
    (name,) = miss["names"]
    (graph,) = (dumped / "graphs").glob("00-*")
    assert f"{name} = nn.batch_norm(" in graph.read_text()
    assert "read outside of the match" in miss["reason"]


def test_whynot_says_the_same(dumped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = json.loads((dumped / "run.json").read_text())
    (miss,) = [m for m in run["near_misses"] if m["rule"] == "fold_batch_norm"]
    words = ["--near", miss["names"][0], "--after", "fold"]
    assert cli.run(["whynot", str(dumped), "fold_batch_norm", *words]) == 0
    assert miss["reason"] in capsys.readouterr().out


def test_places_of_one_line_are_counted_and_those_far_off_are_none() -> None:
    book = book_of(
        "rule twice on fx preserves exact:\n"
        '    "Two Relus are one."\n'
        "    match:\n        a = nn.relu(x)\n        y = nn.relu(a)\n"
        "    rewrite:\n        y = nn.relu(x)\n"
    )
    context = context_of(book)
    lines = ["x: f32[4]", *(f"m{i} = nn.mul(x, x)\ny{i} = nn.relu(m{i})" for i in range(20))]
    assert near_misses("none", 1, graph_of("\n".join(lines)), context) == []
