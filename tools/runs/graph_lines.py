"""The lines of a graph text, read quickly: names and what they read, without building a graph.

To be read as a graph a text goes through `sparqc.ir.text.parse`, which also says where it is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_TEXT = r'"(?:[^"\\]|\\.)*"'
_CODE = re.compile(rf'(?:{_TEXT}|[^"])*?(?=  # |$)')
_WORD = re.compile(rf"({_TEXT}|[A-Za-z_][\w.]*)(\s*[=:])?")
_CONSTANT = re.compile(rf"({_TEXT}|[\w.]+): const ")
_NODE = re.compile(rf"((?:{_TEXT}|[\w.]+)(?:, (?:{_TEXT}|[\w.]+))*) = ({_TEXT}|[\w.]+)\(")
_SOURCE = re.compile(r"\S+:\d+")


@dataclass(frozen=True)
class GraphLine:
    """A node or a constant."""

    names: tuple[str, ...]
    op: str  # "" for a constant
    #: Every known name that it reads.
    reads: tuple[str, ...]
    #: The line without where it comes from.
    code: str
    module: str
    source: str
    rules: tuple[str, ...]


def graph_lines(text: str) -> Mapping[str, GraphLine]:
    """The nodes and constants of a graph text by each of their names, in its order."""
    lines = text.splitlines()
    known = {_plain(w) for w, mark in _WORD.findall(lines[0] if lines else "") if ":" in mark}
    found: dict[str, GraphLine] = {}
    for line in lines[1:]:
        read = _line(line.strip(), known)
        if read is not None:
            known.update(read.names)
            found.update(dict.fromkeys(read.names, read))
    return found


def _line(line: str, known: set[str]) -> GraphLine | None:
    start = _CODE.match(line)
    code = start.group() if start else line
    origin = _origin(line[len(code) :].removeprefix("  # "))
    if made := _CONSTANT.match(code):
        return GraphLine((_plain(made[1]),), "", (), code, *origin)
    if made := _NODE.match(code):
        names = tuple(_plain(word) for word, _ in _WORD.findall(made[1]))
        words = (_plain(w) for w, mark in _WORD.findall(code[made.end() :]) if not mark)
        reads = tuple(dict.fromkeys(w for w in words if w in known))
        return GraphLine(names, _plain(made[2]), reads, code, *origin)
    return None


def _origin(comment: str) -> tuple[str, str, tuple[str, ...]]:
    """Module, line of the model, and rules of `c2.conv model.py:14 by RULE; RULE`."""
    place, _, rules = f" {comment}".partition(" by ")
    words = place.split()
    source = words.pop() if words and _SOURCE.fullmatch(words[-1]) else ""
    return " ".join(words), source, tuple(r for r in rules.split("; ") if r)


def _plain(word: str) -> str:
    if not word.startswith('"'):
        return word
    try:
        return str(json.loads(word))
    except ValueError:
        return word


def made_of_constants(lines: Mapping[str, GraphLine]) -> Iterator[str]:
    """The names that follow from constants alone: weights, and what is made of them."""
    constant: set[str] = set()
    for name, line in lines.items():
        if not line.op or (line.reads and constant.issuperset(line.reads)):
            constant.add(name)
            yield name
