"""The TextMate grammar that editors colour by knows the words of the language, and no others."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sparqc.lang.parse
import sparqc.patterns
from sparqc.lang.parse.keywords import BLOCK_USAGE, BLOCKS, CLAUSES, DTYPES, RESERVED
from sparqc.lang.parse.layout import read_layout
from sparqc.tools.editor.words import words_of
from tests.test_rooms import ROOT

FOLDER = ROOT / "tools" / "editor" / "vscode"
GRAMMAR = json.loads((FOLDER / "syntaxes" / "spq.tmLanguage.json").read_text())
LARK = (Path(sparqc.lang.parse.__path__[0]) / "spq.lark").read_text()
FILES = sorted(Path(sparqc.patterns.__path__[0]).rglob("*.spq"))


def rules(node: Any) -> Iterator[dict[str, Any]]:
    """Every rule of the grammar."""
    if isinstance(node, dict):
        if "match" in node or "begin" in node:
            yield node
        for inner in node.values():
            yield from rules(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from rules(inner)


def words(*names: str) -> set[str]:
    """The words that rules of the grammar's repository spell out."""
    texts = [rule.get("match", "") for name in names for rule in rules(GRAMMAR["repository"][name])]
    return {w for text in texts for w in re.findall(r"(?<![\\\w-])[a-z][a-z0-9]+(?![\w])", text)}


def test_it_has_the_words_of_the_language_and_no_others() -> None:
    terminals = set(re.findall(r"^[A-Z]+(?:\.\d)?: /([a-z]+)(?=\\b|\(\?=)", LARK, re.MULTILINE))
    assert {"maybe", "reaches", "never", "carries", "per", "and"} <= terminals
    known = words("word", "clause")
    others = {"fx", "onnx", "exact", "close", "lossy", "error", "slow", "note", "fp32", "integers",
              "bounds", "type", "reader", "tensor", "channel"}  # fmt: skip
    assert terminals - known == set()
    assert known - terminals - others == {"each"}  # `for each reader` is one terminal


def test_it_has_every_kind_block_and_type() -> None:
    assert words("declaration") == set(BLOCKS)
    assert words("block") == set(BLOCK_USAGE)
    assert words("type") == set(DTYPES)
    assert set().union(*CLAUSES.values()) <= words("clause")
    assert words("word") >= RESERVED


def scope(line: str, column: int) -> str:
    """What a line's letter is coloured as: the rules in their order, the leftmost match first."""
    repository = GRAMMAR["repository"]
    order = [repository["declaration"], repository["block"]]
    for include in repository["code"]["patterns"]:
        rule = repository[include["include"][1:]]
        order += rule.get("patterns", [rule]) if "begin" not in rule else [rule]
    at = 0
    while at <= column:
        found = [(m.start(), i, m) for i, r in enumerate(order)
                 if (m := re.compile(r.get("match", '"(?:[^"\\\\]|\\\\.)*"')).search(line, at))
                 and m.end() > m.start()]  # fmt: skip
        if not found:
            return ""
        start, index, match = min(found, key=lambda f: f[:2])
        if start > column:
            return ""
        if match.end() > column:
            names = [order[index].get("name", "")]
            for group, capture in order[index].get("captures", {}).items():
                if match.start(int(group)) <= column < match.end(int(group)):
                    names.append(capture["name"])
            return " ".join(names).strip()
        at = match.end()
    return ""


#: What the words of each kind may be coloured as.
COLOURS = {
    "operator": ("entity.name.type", "entity.name.function"),
    "native": ("support.function",),
    "declared": ("entity.name.function", "variable.other"),
    "name": ("variable.other",),
    "keyword": ("keyword", "constant.language", "storage.type", "variable.other"),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_shipped_files_are_coloured_as_the_server_reads_them(path: Path) -> None:
    text = path.read_text()
    lines = text.split("\n")
    seen, other = 0, []
    for word in words_of(read_layout(text, str(path))):
        in_string = lines[word.line][: word.column].count('"') % 2
        if word.kind in COLOURS and not in_string:
            seen += 1
            colour = scope(lines[word.line], word.column)
            if not colour.startswith(COLOURS[word.kind]):
                other.append((word.line + 1, word.text, word.kind, colour))
    # Families in braces, and behind `through`, are known to the server alone.
    assert seen > 10
    assert [o for o in other if o[2:] != ("operator", "variable.other.spq")] == []


def test_the_folder_of_vs_code_names_what_is_in_it() -> None:
    package = json.loads((FOLDER / "package.json").read_text())
    contributes = package["contributes"]
    (language,), (grammar,) = contributes["languages"], contributes["grammars"]
    assert language["extensions"] == [".spq"]
    assert grammar["scopeName"] == GRAMMAR["scopeName"]
    for name in (package["main"], language["configuration"], grammar["path"]):
        assert (FOLDER / name).is_file()
    assert contributes["configuration"]["properties"]["spq.command"]["default"][1] == "lsp"
