"""Pattern files that are parsed once for all processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparqc.errors import PatternError
from sparqc.lang import parsed as module
from sparqc.lang.parse import parser
from sparqc.lang.parse.parser import parse_text
from sparqc.lang.parsed import from_data, parsed, to_data
from sparqc.pipeline.installed import pattern_files

INSTALLED = [(file.read(), file.label) for file in pattern_files()]
RULE = """rule a on fx:
    match:
        y = nn.relu(x: const f16[n, ...], 1.0, axis=-1)
    where:
        not x.is_const or x.shape[0] % 4 == 0    else "no: {x.shape}"
    rewrite:
        y = x
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "sparqc"


@pytest.mark.parametrize(("text", "label"), [*INSTALLED, (RULE, "a.spq")])
def test_a_file_goes_through_plain_data_with_its_spans(text: str, label: str) -> None:
    file = parse_text(text, label)
    again = from_data(to_data(file))
    assert again == file
    assert to_data(again) == to_data(file)  # equality leaves out spans and texts


def test_what_was_parsed_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = parsed([(RULE, "a.spq")])
    assert first == (parse_text(RULE, "a.spq"),)
    monkeypatch.setattr(parser, "parse_text", _refuse)
    assert to_data(parsed([(RULE, "a.spq")])) == to_data(first)
    with pytest.raises(AssertionError, match="parsed"):
        parsed([(RULE + "\n", "a.spq")])
    with pytest.raises(AssertionError, match="parsed"):
        parsed([(RULE, "b.spq")])


@pytest.mark.parametrize("data", [None, 3, [], ["Nothing"], ["", ["Bind", 1, 2, 3, 4, 5]], ["", 1]])
def test_data_that_are_no_files_are_passed_over(
    data: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "kept", lambda kind, key: data)
    assert parsed([(RULE, "a.spq")]) == (parse_text(RULE, "a.spq"),)


def test_another_parser_parses_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed([(RULE, "a.spq")])
    monkeypatch.setattr(module, "_parser", lambda: [b"changed"])
    monkeypatch.setattr(parser, "parse_text", _refuse)
    with pytest.raises(AssertionError, match="parsed"):
        parsed([(RULE, "a.spq")])


def test_errors_are_those_of_the_parser() -> None:
    for _ in range(2):
        with pytest.raises(PatternError, match="begins no declaration"):
            parsed([("rul a:\n", "a.spq")])


def _refuse(text: str, file: str) -> None:
    raise AssertionError(f"parsed {file}")
