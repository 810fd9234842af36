"""Declarations that can never match: operators of the other level, targets, kinds of attributes."""

import pytest

from sparqc.declared.natives import natives
from sparqc.errors import PatternError
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.check.checks import check_file
from sparqc.lang.parse.parser import parse_text
from sparqc.pipeline.installed import installed


def findings(text: str) -> list[PatternError]:
    return check_file(parse_text(text), default_table(), natives(), installed())


def rule(clauses: str, call: str) -> str:
    return (
        f"fusion mine {clauses}:\n"
        '    "A test."\n'
        "    match:\n"
        f"        y = {call}\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("clauses", "call", "says"),
    [
        ("on fx, onnx", "nn.space_to_depth(x)", "on onnx this matches nothing"),
        ("on onnx", "q.qdq(x, s, ...)", "on onnx this matches nothing"),
        ("on fx, onnx", "onnx.Det(x)", "on fx this matches nothing"),
        ("on onnx for tensort-11", "nn.relu(x)", "there is no target 'tensort-11'"),
        ("on onnx", 'nn.softmax(x, axis="last")', "axis of nn.softmax is a number"),
        ("on onnx", "nn.pad(x, mode=1)", "mode of nn.pad is a word"),
    ],
)
def test_what_can_never_match_is_an_error(clauses: str, call: str, says: str) -> None:
    (found,) = findings(rule(clauses, call))
    assert says in found.message


@pytest.mark.parametrize(
    ("clauses", "call"),
    [
        ("on fx", "nn.space_to_depth(x)"),
        ("on fx, onnx", "{nn.space_to_depth, nn.depth_to_space}(x)"),
        ("on fx", "q.qdq(x, s, ...)"),
        ("on onnx for tensorrt", "nn.softmax(x, axis=-1)"),
        ("on onnx for somebodys-chip", "nn.pad(x, mode=none)"),
    ],
)
def test_what_may_match_is_none(clauses: str, call: str) -> None:
    assert findings(rule(clauses, call)) == []
