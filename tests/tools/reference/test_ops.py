"""`sparqc ops`: the operators of pattern files, and their pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparqc.declared.natives import natives
from sparqc.ir.vocabulary.operator import REQUIRED
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.check.checks import check_file
from sparqc.lang.check.findings import PatternWarning
from sparqc.lang.parse.parser import parse_text
from sparqc.tools.reference.operators.entry import OperatorEntry, entries
from sparqc.tools.reference.operators.pages import pages
from sparqc.tools.reference.uses import operator_uses
from tests.tools.rules.conftest import Ask

TABLE = default_table()
ENTRIES = entries(TABLE, operator_uses())
DOCS = Path(__file__).parents[3] / "docs"


def test_the_pages_are_up_to_date() -> None:
    """Otherwise: sparqc ops --write docs/operators"""
    written = {path.name: path.read_text() for path in (DOCS / "operators").glob("*.md")}
    assert written == dict(pages(ENTRIES))


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_the_example_of_each_operator_is_a_match_block(entry: OperatorEntry) -> None:
    text = f"""\
check example on {", ".join(entry.levels)} grade note:
    match:
        {entry.example}
    message "it is there"
"""
    findings = check_file(parse_text(text), TABLE, natives())
    assert [f for f in findings if not isinstance(f, PatternWarning)] == []


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_a_page_says_all_that_the_row_says(entry: OperatorEntry) -> None:
    assert entry.family is not None
    page = pages(ENTRIES)[f"{entry.family.name}.md"]
    section = page.partition(f"## {entry.row.name}\n")[2].partition("\n## ")[0]
    said = [entry.row.doc, entry.example, *entry.aten, *entry.onnx, *entry.traits]
    assert [part for part in said if part not in section] == []


def test_an_operator_is_told_with_all_that_its_row_says(ask: Ask) -> None:
    told = ask("ops nn.gemm")
    assert "nn.gemm(a, b, c?)" in told
    assert "transB=0" in told
    assert "channel axis 1, 0 with transB=1, reduction axis 0, 1 with transB=1" in told
    assert "weighted: It contracts" in told
    assert "aten.addmm.default" in told
    assert "ONNX        Gemm" in told


def test_axes_that_follow_the_rank_are_counted_from_the_end() -> None:
    axes = {name: entry.weight for name, entry in ENTRIES.items() if entry.weight}
    assert {name: (w.channel_axis, w.reduction_axis) for name, w in axes.items()} == {
        "nn.conv": ("0", "1"),
        "nn.conv_transpose": ("1", "0"),
        "nn.linear": ("0", "1"),
        "nn.gemm": ("1, 0 with transB=1", "0, 1 with transB=1"),
        "nn.matmul": ("-1", "-2"),
    }


def test_commuting_operands_and_declarations_are_told(ask: Ask) -> None:
    told = ask("ops nn.add")
    assert "a and b" in told and "conv_add_act" in told


def test_every_operator_is_listed(ask: Ask) -> None:
    firsts = {line.split("(")[0] for line in ask("ops").splitlines()}
    assert firsts >= {*TABLE.names}


def test_json_has_every_row(ask: Ask) -> None:
    told = json.loads(ask("ops --json"))
    assert told["schema"] == 1
    assert [row["name"] for row in told["operators"]] == [*TABLE.names]
    for row in told["operators"]:
        attributes = TABLE.require(row["name"]).attributes
        assert {a["name"] for a in row["attributes"] if a["required"]} == {
            name for name, default in attributes.items() if default is REQUIRED
        }
    (one,) = json.loads(ask("ops nn.clip --json"))["operators"]
    assert [o["name"] for o in one["operands"] if o["optional"]] == ["min", "max"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nn.convv", "did you mean 'nn.conv'"),
        ("torch.relu", "operators have names of their own here: nn.relu"),
        ("activation", "sparqc rules show activation"),
        ("moves", "a trait"),
        ("onnx.Foo", "a raw name"),
        ("fold_batch_norm", "there is no operator"),
    ],
)
def test_a_wrong_name_is_told_what_was_meant(ask: Ask, name: str, said: str) -> None:
    assert said in ask(f"ops {name}", code=2)


def test_rules_show_points_to_the_operator_and_to_the_native(ask: Ask) -> None:
    assert "nn.clip is an operator" in ask("rules show nn.clip", code=2)
    assert "sparqc ops nn.clip" in ask("rules show nn.clip", code=2)
    assert "sparqc natives divides" in ask("rules show @divides", code=2)
    assert "nn.sigmoid" in ask("rules show nn.silu"), "its spelling is a declaration"


def test_the_command_writes_the_pages_and_takes_old_ones_away(ask: Ask, tmp_path: Path) -> None:
    folder = tmp_path / "operators"
    folder.mkdir()
    (folder / "gone.md").write_text("<!-- written by `sparqc ops`; do not edit -->")
    (folder / "mine.md").write_text("not generated")
    assert "pages in operators" in ask("ops --write operators")
    assert {path.name for path in folder.iterdir()} == {*pages(ENTRIES), "mine.md"}
    assert "is a file" in ask("ops --write operators/mine.md", code=2)
