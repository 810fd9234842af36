"""`sparqc rules test`: rules on graphs that are generated from what they match."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from sparqc.tools.rules.trials import trial
from tests.tools.rules.conftest import Ask

QUARTER = """\
rule two_halves on onnx preserves {word}:
    "Half of a half is a quarter."
    match:
        a = nn.mul(x, {number})
        y = nn.mul(a, {number})
    where:
        {where}
    rewrite:
        y = nn.mul(x, {square})
"""

NATIVE = """\
from sparqc.extend import Value, native


@native("{name}")
def {name}(value: Value) -> bool:
    \"\"\"Whether it may be.\"\"\"
    {body}
"""


def write(
    word: str = "exact", number: float = 0.5, square: float = 0.25, where: str = "x.rank < 9"
) -> None:
    where = where.replace("\n", "\n        ")
    text = QUARTER.format(word=word, number=number, square=square, where=where)
    Path("mine.spq").write_text(text)


def test_a_right_rule_has_a_row_in_the_table(ask: Ask) -> None:
    write(where="x.rank < 9  # kept: an example")
    told = ask("rules test mine.spq --instances 10")
    row = next(line.split() for line in told.splitlines() if line.startswith("two_halves "))
    assert row[2:4] == ["10", "0"]
    assert "two_halves keeps `x.rank < 9`: an example" in told


def test_what_is_wrong_is_told_with_its_place_and_its_graph(ask: Ask) -> None:
    write(square=0.24)
    told = ask("rules test mine.spq --instances 10", code=1)
    assert "error: mine.spq:1:6: two_halves on onnx: it promises exact results" in told
    assert "= nn.mul(" in told and "return " in told


def test_a_rewrite_that_rounds_otherwise_is_close_and_not_exact(ask: Ask) -> None:
    write("exact", 0.1, 0.01, "x.rank < 9  # kept: an example")
    assert "it promises exact results" in ask("rules test mine.spq --instances 30", code=1)
    write("close", 0.1, 0.01, "x.rank < 9  # kept: an example")
    ask("rules test mine.spq --instances 30")


def test_a_close_rewrite_that_is_another_function_is_found(ask: Ask) -> None:
    write("close", 0.1, 0.01001)
    told = ask("rules test mine.spq --instances 30", code=1)
    assert "is another one: off by 0.001 of its magnitude in FP64" in told


def test_a_condition_that_nothing_needs_wants_a_reason(ask: Ask) -> None:
    write(where="x.rank < 9  # because")
    told = ask("rules test mine.spq --instances 10", code=1)
    assert "error: mine.spq:7:9: two_halves: nothing goes wrong without `x.rank < 9`" in told
    assert "leave it out, or say behind it why it stays: `# kept: …`" in told
    write(where="# kept: this one\n# is an example.\nx.rank < 9")
    assert "keeps `x.rank < 9`: this one is an example." in ask(
        "rules test mine.spq --instances 10"
    )


def test_a_condition_that_is_needed_is_told_by_what_goes_wrong_without(ask: Ask) -> None:
    text = QUARTER.format(word="exact", number="_k: const", square="x", where="x.rank == 9")
    text = text.replace("nn.mul(x, x)", "x").replace("x.rank == 9", "@filled_with(k, 1)")
    text = text.replace("a = nn.mul(x, _k: const)", "a = nn.neg(nn.neg(x))").replace("_k", "k")
    Path("mine.spq").write_text(text)
    told = ask("rules test mine.spq --instances 10", code=1)
    assert (
        "gives f32[] for f32[" in told
    )  # k may be larger than x: the shape is the next thing to ask for
    Path("mine.spq").write_text(text.replace("(k, 1)", "(k, 1) and x.shape == y.shape"))
    told = ask("rules test mine.spq --instances 100")
    assert [line.split()[3:6] for line in told.splitlines() if line.startswith("two_")] == [
        ["0", "2", "2"]
    ]


def test_a_rule_that_hardly_ever_fires_is_not_tested(ask: Ask) -> None:
    write(where="x.rank == 7 and x.shape[0] == 91  # kept: an example")
    told = ask("rules test mine.spq --instances 5", code=1)
    assert "it fires on 0 of " in told and "give it examples, which are varied too" in told


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('raise RuntimeError("no")', r"@{} failed at \S*mine\.py:7: RuntimeError: no"),
        ("while True: pass", "it takes more than 0.5 seconds on one graph"),
    ],
)
def test_functions_that_fail_or_never_return_end_in_an_error(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    monkeypatch.setattr(trial, "_LONGEST", 0.5)
    name = f"own_{len(body)}"
    Path("mine.py").write_text(NATIVE.format(name=name, body=body))
    write(where=f"@{name}(x)")
    told = ask("rules test mine.spq --instances 5 --import mine.py", code=1)
    assert re.search(said.format(name), told), told


def test_the_same_seed_gives_the_same_graphs_and_json_is_plain(ask: Ask) -> None:
    write(where="x.rank < 9  # kept: an example")
    one, two = (ask("rules test mine.spq --instances 5 --seed 3 --json") for _ in range(2))
    assert one == two
    (row,) = json.loads(one)
    assert (row["rule"], row["fired"], row["wrong"], row["errors"]) == ("two_halves", 5, 0, [])
    assert row["survivors"] == [{"without": "x.rank < 9", "reason": "an example"}]


@pytest.mark.parametrize(("op", "code"), [("nn.relu", 0), ("nn.sigmoid", 1)])
def test_a_share_has_to_commute_with_rounding(ask: Ask, op: str, code: int) -> None:
    Path("mine.spq").write_text(
        f'share own on fx, onnx:\n    "Codes."\n    match:\n        y = {op}(x)\n    scale: x, y\n'
    )
    told = ask("rules test mine.spq --instances 5", code)
    row = next(line.split() for line in told.splitlines() if line.startswith("own "))
    assert row[3] == str(2 * code)
    assert ("rounding in front of it gives other numbers" in told) == bool(code)


def test_an_unknown_rule_is_told_with_those_that_are_near(ask: Ask) -> None:
    write()
    told = ask("rules test mine.spq --rule two_halvs", code=2)
    assert "no rule is named 'two_halvs'" in told and "did you mean 'two_halves'?" in told


def test_without_hypothesis_the_examples_are_run_alone(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    write()
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "hypothesis" else find(name)
    )
    assert "pip install 'sparqc[test]'" in ask("rules test mine.spq")
    assert "Hypothesis, which is not installed" in ask("rules test mine.spq --instances 5", code=2)
