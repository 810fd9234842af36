"""Pages show what their code prints, and docs/tour.md names what is there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tour import PAGES, ROOT, Tour, page

#: "Read: `compiler/capture/capture.py`, `capture`."
READ = re.compile(r"`([\w/]+\.py)`, `(\w+)`")
TOUR = PAGES[0]
PATHS = re.compile(r"`((?:compiler|passes|patterns|tools)/[\w/.]+)`")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_shows_what_its_code_prints(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    assert page(text, tmp_path) == text, "write it anew: python -m tests.tour"


def test_what_it_says_to_read_is_there() -> None:
    found = READ.findall(TOUR.read_text())
    assert len(found) >= 10
    for path, name in found:
        tree = ast.parse((ROOT / path).read_text())
        assert name in set(_defined(tree)), f"{path} defines no {name}"


def _defined(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def test_the_files_it_names_are_there() -> None:
    missing = [path for path in PATHS.findall(TOUR.read_text()) if not (ROOT / path).exists()]
    assert not missing


def test_text_is_what_the_code_in_front_of_it_prints() -> None:
    code = "```python\nx = 2\n```\n```python\nprint(x + 1)\n```\n```text\n4\n```\n"
    assert Tour(code).rewritten() == code.replace("4", "3")
    assert Tour("```sh\nsparqc --help | grep -c compile\n```\n```text\n```\n").rewritten()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```python\nprint(1)\n```\n", "prints something"),
        ("```python\nprint(1)\n```\n```python\n```\n", "line 4: the code in front"),
        ("```python\nx = 1\n```\n```text\n1\n```\n", "line 4: no code"),
        ("```sh\nsparqc compil\n```\n", "there is no command 'compil'"),
    ],
)
def test_code_and_text_belong_together(text: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        Tour(text).rewritten()
