"""`sparqc rules try`: where the rules of a file match in a graph, and where they nearly do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import small_models
from tests.tools.rules.conftest import Ask

MINE = """
rule behind_a_convolution on fx, onnx preserves close:
    "A convolution that loses its Relu."
    match:
        c = nn.conv(x, w: const, b?)
        y = nn.relu(c)
    rewrite:
        y = nn.conv(x, w, b) like c

rule behind_a_norm on fx, onnx preserves close:
    "A BatchNorm that loses its Relu."
    match:
        n = nn.batch_norm(x, s, b, m, v)
        y = nn.relu(n)
    where:
        x.rank == 3  else "rank {x.rank}"
    rewrite:
        y = nn.batch_norm(x, s, b, m, v) like n

rule on_a_file on onnx preserves close:
    "A Relu."
    match:
        y = nn.relu(x)
    rewrite:
        y = x

rule of_nothing on fx preserves close:
    "A Softmax."
    match:
        y = nn.softmax(x)
    rewrite:
        y = x
"""


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(small_models.MODEL)
    (tmp_path / "mine.spq").write_text(MINE.lstrip())


def of(told: str, rule: str) -> str:
    """What is told of one rule."""
    return next(part for part in told.split("rule ") if part.startswith(f"{rule}:"))


def test_a_rule_shows_the_operand_that_failed_and_the_line(ask: Ask) -> None:
    lines = of(ask("rules try mine.spq model.py"), "behind_a_convolution").splitlines()
    assert lines[:5] == [
        "behind_a_convolution: matches nowhere; nearest:",
        "  relu",
        "    batch_norm comes from nn.batch_norm, not from nn.conv",
        "    mine.spq:4:13",
        "            c = nn.conv(x, w: const, b?)",
    ]
    assert lines[5].strip("^ ") == "" and lines[5].index("^") == 16


def test_a_condition_is_nearer_than_an_operand(ask: Ask) -> None:
    lines = of(ask("rules try mine.spq model.py"), "behind_a_norm").splitlines()
    assert lines[1:4] == ["  relu", "    rank 4", "    mine.spq:15:9"]


def test_a_rule_shows_where_it_matches_behind_a_pass(ask: Ask) -> None:
    told = of(ask("rules try mine.spq model.py --after fold"), "behind_a_convolution")
    assert told.startswith("behind_a_convolution: matches at 1 place: relu\n  not relu_1\n")


def test_a_rule_without_its_operator_or_level_says_so(ask: Ask) -> None:
    told = ask("rules try mine.spq model.py")
    assert "of_nothing: looks for nn.softmax, and the graph has none" in told
    assert "on_a_file: is for graphs on onnx, and this one is on fx" in told


def test_fusions_are_tried_in_front_of_the_pass_that_places(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "mine.spq").write_text(
        'fusion mine on fx, onnx:\n    "Mine."\n    match:\n        y = nn.conv(x, w: const, b?)\n'
    )
    assert "fusion mine: matches at 2 places: " in ask("rules try mine.spq model.py")


def test_the_json_has_all_places_and_a_version(ask: Ask) -> None:
    told = json.loads(ask("rules try mine.spq model.py --after fold --json"))
    assert told["schema"] == 1 and told["file"] == "mine.spq"
    row = told["declarations"][0]
    assert (row["name"], row["kind"], row["level"]) == ("behind_a_convolution", "rule", "fx")
    assert row["matches"] == [{"node": "relu", "nodes": ["relu", "conv"]}]
    (miss,) = row["misses"]
    assert miss["node"] == "relu_1" and miss["line"] == "mine.spq:4:13"


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("rules try none.spq model.py", 2, "none.spq"),
        ("rules try mine.spq none.py", 2, "none.py"),
        ("rules try mine.spq model.py --after plaec", 2, "the pipeline has no pass 'plaec'"),
        ("rules try ops.spq model.py", 2, "ops.spq declares nothing that is looked for"),
    ],
)
def test_what_is_not_there_is_said(
    ask: Ask, tmp_path: Path, line: str, code: int, said: str
) -> None:
    (tmp_path / "ops.spq").write_text("op mine(x):\n    y = nn.relu(x)\n")
    assert said in ask(line, code)
