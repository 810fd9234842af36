"""The words of a pattern file, each with what it stands for, whether or not the file is right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sparqc.lang.parse.keywords import BLOCKS, DTYPES, KNOB, RESERVED
from sparqc.lang.parse.layout import Layout, Line

#: `name` is a value, a size or an attribute that the declaration binds; `declared` the name of a
#: declaration that is no operator; `example` a name of an example, which has its own.
Kind = Literal[
    "operator", "native", "name", "field", "attribute", "knob", "declared", "keyword", "example"
]

_TOKEN = re.compile(
    r'#.*|"(?:[^"\\\n]|\\.)*"?|@?[A-Za-z_]\w*(?:\.[A-Za-z0-9_]+)*|[0-9][\w.]*|==|[^\s\w]'
)
_HOLE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
#: Words only behind another word, a bracket or a string; elsewhere they may be names.
_BEHIND = frozenset(
    ("reaches", "comes", "from", "only", "through", "per", "tensor", "channel", "with", "for",
     "each", "reader", "scale", "if")
)  # fmt: skip
#: What a path leads to, or goes through, stands behind these.
_PATH = frozenset(("reaches", "from", "through", "only"))
#: Blocks whose lines and strings hold code.
_CODE = frozenset(("match", "where", "rewrite", "int8", "sparse", "pays"))


@dataclass(frozen=True)
class Word:
    """A word at a 0-based line and column, in the declaration that begins with `head`."""

    text: str
    kind: Kind
    line: int
    column: int
    head: Line
    #: What stands in front of the dot of a field.
    of: str = ""
    #: Whether it stands where a name is given to a result, or to a declaration.
    defines: bool = False

    def is_at(self, line: int, column: int) -> bool:
        """Whether a place is in the word, or right behind it."""
        return self.line == line and self.column <= column <= self.column + len(self.text)


def words_of(layout: Layout) -> Iterator[Word]:
    """Every word of a file but those of comments and of plain sentences."""
    for head in layout.lines:
        if not head.text.startswith('"'):
            yield from _Reader(layout, head).words(head)


class _Reader:
    """Reads one declaration."""

    def __init__(self, layout: Layout, head: Line) -> None:
        self.layout, self.head = layout, head

    def words(self, line: Line) -> Iterator[Word]:
        if line is self.head:
            yield from self.header(line)
        elif line.parent is self.head and line.word in BLOCKS.get(self.head.word, ()):
            yield from self.block(line)
        elif line.word in ("before", "after") and line.opens:
            yield from self.raw(line)
        elif not line.text.startswith('"') and line.word not in ("rejects", "finds"):
            yield from self.code(line.text, line.number - 1, line.column - 1)
        for child in line.children:
            yield from self.words(child)

    def header(self, line: Line) -> Iterator[Word]:
        parameters = "("
        for position, (found, at) in enumerate(_tokens(line.text)):
            kind: Kind = "keyword"
            if position == 1:
                kind = "operator" if line.word == "op" else "declared"
            elif parameters == "in" and found not in RESERVED and found not in DTYPES:
                kind = "name"
            if position > 1 and found in "()":
                parameters = "in" if found == "(" and parameters == "(" else ""
            if found[0].isalpha() or found[0] == "_":
                yield self.word(found, kind, line, at, defines=position == 1)

    def block(self, line: Line) -> Iterator[Word]:
        yield self.word(line.word, "keyword", line, 0)
        rest = line.text[len(line.word) :]
        if line.word in ("like", "joins", "replaces"):
            for found, at in _tokens(rest):
                if found[0].isalpha() or found[0] == "_":
                    yield self.word(found, "declared", line, at + len(line.word))
        elif line.word in ("sparse", "scale", "message", "cure"):
            start = _place(line.text, len(line.word), line.number - 1, line.column - 1)
            yield from self.code(rest, *start)

    def raw(self, line: Line) -> Iterator[Word]:
        """The lines of an example, up to one that is no deeper."""
        yield self.word(line.word, "keyword", line, 0)
        for number in range(line.number, len(self.layout.source)):
            text = self.layout.source[number]
            if text.strip() and len(text) - len(text.lstrip()) < line.column:
                return
            for word in self.code(text, number, 0):
                kind = "example" if word.kind == "name" else word.kind
                yield Word(word.text, kind, word.line, word.column, self.head, word.of)

    def code(self, text: str, line: int, column: int) -> Iterator[Word]:
        """The words of a statement, a condition or an expression."""
        tokens = list(_tokens(text))
        depth = braces = 0
        starts_names = bool(re.match(r"\s*\w+(\s*,\s*\w+)*\s*=(?!=)", text))
        for index, (found, at) in enumerate(tokens):
            before = tokens[index - 1][0] if index else ""
            after = tokens[index + 1][0] if index + 1 < len(tokens) else ""
            depth += (found in "([") - (found in ")]")
            braces += (found == "{") - (found == "}")
            starts_names = starts_names and found != "="
            place = _place(text, at, line, column)
            if found[0] == '"':
                yield from self.holes(found, *place)
            elif found[0] in "@_" or found[0].isalpha():
                inside = bool(depth), bool(braces)
                yield from self.token(found, before, after, place, *inside, starts_names)

    def holes(self, string: str, line: int, column: int) -> Iterator[Word]:
        """The words in the braces of a sentence."""
        for hole in _HOLE.finditer(string):
            if hole[1] is not None:
                yield from self.code(hole[1], line, column + hole.start(1))

    def token(
        self, found: str, before: str, after: str, place: tuple[int, int], inside: bool,
        braces: bool, defines: bool,
    ) -> Iterator[Word]:  # fmt: skip
        line, column = place
        base, _, fields = found.partition(".")
        if found[0] == "@":
            yield Word(found[1:], "native", line, column + 1, self.head)
        elif found in RESERVED or _is_keyword(found, before, after):
            yield Word(found, "keyword", line, column, self.head)
        elif after == "(" or braces or before in _PATH or (fields and before == "maybe"):
            yield Word(found, "operator", line, column, self.head)
        elif base == KNOB and fields:
            yield Word(fields, "knob", line, column + len(base) + 1, self.head)
        elif before == "with":
            yield Word(found, "declared", line, column, self.head)
        elif inside and after == "=":
            yield Word(found, "attribute", line, column, self.head)
        else:
            yield Word(base, "name", line, column, self.head, defines=defines)
            if fields:
                yield Word(fields, "field", line, column + len(base) + 1, self.head, base)

    def word(self, text: str, kind: Kind, line: Line, at: int, defines: bool = False) -> Word:
        place = _place(line.text, at, line.number - 1, line.column - 1)
        return Word(text, kind, *place, self.head, defines=defines)


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    for found in _TOKEN.finditer(text):
        if found[0][0] == "#":
            continue
        yield found[0], found.start()


def _place(text: str, at: int, line: int, column: int) -> tuple[int, int]:
    """The 0-based place of an offset in a text that begins at one."""
    breaks = text.count("\n", 0, at)
    return line + breaks, at - text.rfind("\n", 0, at) - 1 if breaks else column + at


def _is_keyword(word: str, before: str, after: str) -> bool:
    """Whether a word that could be a name is none where it stands."""
    last = before[-1:]
    follows = (last.isalnum() or last in ')]}"_') and bool(last)
    follows = follows and (before not in RESERVED or before == "const")
    if word in _BEHIND and follows:
        return True
    if before == "else" and after[:1] == '"':
        return True
    if word in DTYPES and (before in (":", "|", "const")):
        return True
    if word == "never":
        return after[:1] == '"'
    return word == "output" and not before and after[:1].isalpha() and after != "per"
