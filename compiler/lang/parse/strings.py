"""Strings of the language: quoting, and sentences with expressions in braces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from sparqc.errors import PatternError
from sparqc.lang.ast import Expr, Template
from sparqc.lang.parse.source import Source

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
_WRITTEN = str.maketrans({character: f"\\{letter}" for letter, character in _ESCAPES.items()})
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')


def quote(text: str) -> str:
    """A string as it stands in a pattern file: `say "a"` -> `"say \\"a\\""`."""
    return f'"{text.translate(_WRITTEN)}"'


def unquote(source: Source) -> str:
    """The text that one or several adjacent string literals stand for."""
    return "".join(character for character, _ in _characters(source))


def _characters(source: Source) -> Iterator[tuple[str, int]]:
    """The characters of the string, each with the offset at which it is written."""
    for literal in _STRING.finditer(source.text):
        at = literal.start() + 1
        while at < literal.end() - 1:
            character, width = source.text[at], 1
            if character == "\\":
                character, width = _escaped(source, at), 2
            yield character, at
            at += width


def _escaped(source: Source, at: int) -> str:
    letter = source.text[at + 1]
    if letter not in _ESCAPES:
        message = f"a string knows no '\\{letter}'"
        hint = r"a backslash is written \\, a quotation mark \", a line break \n, a tab \t"
        raise PatternError(message, span=source.at(at, 2), hint=hint)
    return _ESCAPES[letter]


def read_template(source: Source, read: Callable[[Source], Expr]) -> Template:
    """A sentence whose braces hold expressions, which `read` parses; `{{` is a brace itself."""
    written = list(_characters(source))
    text = "".join(character for character, _ in written)
    parts: list[str | Expr] = []
    plain, at = "", 0
    while at < len(text):
        if text[at : at + 2] in ("{{", "}}"):
            plain, at = plain + text[at], at + 2
        elif text[at] == "{":
            end = _closing(text, at)
            if end is None:
                raise PatternError("this '{' is never closed", span=source.at(written[at][1]))
            if plain:
                parts.append(plain)
            parts.append(_inner(source, text[at + 1 : end], written[at][1] + 1, read))
            plain, at = "", end + 1
        elif text[at] == "}":
            hint = "a brace that means itself is written }}"
            raise PatternError("this '}' closes nothing", span=source.at(written[at][1]), hint=hint)
        else:
            plain, at = plain + text[at], at + 1
    return Template(text, (*parts, plain) if plain else tuple(parts))


def _inner(source: Source, text: str, offset: int, read: Callable[[Source], Expr]) -> Expr:
    if not text.strip():
        hint = "a brace that means itself is written {{"
        raise PatternError("the braces hold no expression", span=source.at(offset - 1), hint=hint)
    return read(source.piece(text, offset))


def _closing(text: str, start: int) -> int | None:
    """Where the brace that opens at `start` closes; braces in inner strings do not count."""
    at, depth = start + 1, 1
    while at < len(text):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if not depth:
            return at
        inner = _STRING.match(text, at)
        at = inner.end() if inner else at + 1
    return None
