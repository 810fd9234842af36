"""One file is one test: those in pass/ have no findings, those in fail/ the ones they begin with.

A file in fail/ begins with its findings, `# error: line:column+width message`, each followed by its
hint.  Print what a new file has with `python tests/lang/findings_of.py FILE`.
"""

from itertools import takewhile
from pathlib import Path

import pytest

from sparqc.lang.format.formatter import format_file
from sparqc.lang.parse.parser import parse_file, parse_text
from tests.lang.findings_of import expected_lines

HERE = Path(__file__).parent
OUTPUT = "\n# -- output --\n"


def pattern_files(folder: str) -> list:
    paths = sorted((HERE / folder).glob("*.spq"))
    return [pytest.param(path, id=path.stem) for path in paths]


@pytest.mark.parametrize("path", pattern_files("pass"))
def test_a_good_file_has_no_findings(path: Path) -> None:
    assert expected_lines(path.read_text()) == []


@pytest.mark.parametrize("path", pattern_files("pass"))
def test_a_good_file_survives_formatting(path: Path) -> None:
    file = parse_file(path)
    text = format_file(file)
    again = parse_text(text, str(path))
    assert again == file
    assert format_file(again) == text


@pytest.mark.parametrize("path", pattern_files("fail"))
def test_a_bad_file_has_the_findings_it_says(path: Path) -> None:
    text = path.read_text()
    said = list(takewhile(lambda line: line.startswith("#"), text.splitlines()))
    assert said, "a file in fail/ begins with what is wrong with it"
    assert expected_lines(text) == said


@pytest.mark.parametrize("path", pattern_files("format"))
def test_a_file_is_formatted_as_it_says(path: Path) -> None:
    before, _, after = path.read_text().partition(OUTPUT)
    assert format_file(parse_text(before)) == after
    assert format_file(parse_text(after)) == after
