"""What is gone and new in a graph text."""

import random

from hypothesis import given
from hypothesis import strategies as st

from sparqc.tools.tui.text_diff import defined, text_diff


def graph(*names: str) -> list[str]:
    return [
        "graph g on fx (x: f32) -> (y):",
        *(f"    {n} = nn.relu(x)" for n in names),
        "    return",
    ]


def test_an_operator_that_reads_something_else_stands_below_what_it_was() -> None:
    old = graph("a", "b", "c")
    new = [line.replace("b = nn.relu(x)", "b = nn.relu(a)") for line in old]
    found = list(text_diff(old, new))
    at = found.index(("-", "    b = nn.relu(x)"))
    assert found[at + 1] == ("+", "    b = nn.relu(a)")
    assert [sign for sign, _ in found].count("-") == 1


def test_equal_lines_far_away_are_counted() -> None:
    found = list(text_diff(graph(*"abcdefgh"), graph(*"abcdefgh", "z")))
    assert found[0] == ("#", "  … 7 equal")
    assert found[1:3] == [("", "    g = nn.relu(x)"), ("", "    h = nn.relu(x)")]
    assert found[3] == ("+", "    z = nn.relu(x)")


def test_equal_graphs_have_no_difference() -> None:
    assert list(text_diff(graph("a"), graph("a"))) == [("#", "  … 3 equal")]


def test_the_name_that_a_line_defines() -> None:
    assert defined("  a.b: const f32[2] = [1.0, 2.0]") == "a.b"
    assert defined("    y, mask = nn.dropout(x)") == "y"
    assert defined('    "my name" = nn.relu(x)') == '"my name"'
    assert defined("    return y as output") == "return"


@given(st.lists(st.sampled_from("abcdefghij"), unique=True), st.integers(0, 99))
def test_both_texts_can_be_read_off(names: list[str], seed: int) -> None:
    pick = random.Random(seed)
    old = graph(*names)
    kept = [n for n in names if pick.random() < 0.7]
    pick.shuffle(kept)
    new = graph(*kept)
    found = [pair for pair in text_diff(old, new) if pair[0] != "#"]
    behind = [line for sign, line in found if sign != "-"]
    before = [line for sign, line in found if sign != "+"]
    assert behind == [line for line in new if line in behind]
    assert before == [line for line in old if line in before]
    assert {line for sign, line in found if sign == "-"} >= set(old) - set(new)
    assert {line for sign, line in found if sign == "+"} >= set(new) - set(old)
