"""The text of a pipeline: `default, -prune, repeat(fold), +mine{limit=3}@after=export`.

    pipeline = [entry {"," entry}]
    entry    = item | "-" name | "+" item ["@" ("before" | "after" | "instead") "=" name]
    item     = name ["{" [name "=" value {"," name "=" value}] "}"] | "repeat" "(" item {"," item} ")"
    value    = string | number | word | "true" | "false" | "none" | "[" [value {"," value}] "]"

A word as a value is a string: `method=entropy`.  What a name stands for, and what the edits do, is
the business of `sparqc.pipeline.run`.
"""  # noqa: E501

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeVar

from sparqc.base.options import OptionValue, Scalar
from sparqc.errors import Span, UsageError, did_you_mean
from sparqc.pipeline.steps import Item, Option, Repeat, Step

T = TypeVar("T")
Place = Literal["before", "after", "instead"]

#: How deep `repeat` and lists may nest.
DEEPEST = 8
LONGEST_NUMBER = 400

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<word>[A-Za-z_]\w*(?:-\w+)*)
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<string>"(?:[^"\\\n]|\\.)*"|'[^'\n]*')
    | (?P<mark>[-+@=,(){}\[\]])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Remove:
    """`-name`: without the passes of that name."""

    name: str
    span: Span


@dataclass(frozen=True)
class Insert:
    """`+item@place=anchor`; at the end without an anchor."""

    item: Item
    place: Place = "after"
    anchor: str | None = None
    span: Span | None = None


Entry = Item | Remove | Insert


def parse_entries(text: str, file: str) -> tuple[Entry, ...]:
    """The entries of a pipeline; UsageError with a caret where the text is no pipeline."""
    return _Parser(text, file).entries()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    span: Span


class _Parser:
    """Recursive descent over the tokens, one of which is looked ahead."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file, self.depth = text, file, 0
        self.position = 0
        self.token = self._scan()

    # -- tokens ----------------------------------------------------------------------------------

    def _scan(self) -> _Token:
        found = _TOKEN.match(self.text, self.position)
        if found is None:
            start = len(self.text) - len(self.text[self.position :].lstrip())
            quoted = self.text[start] in "\"'"
            message = "this string has no end" if quoted else f"unexpected {self.text[start]!r}"
            raise UsageError(message, span=self._span(start, 1))
        kind = str(found.lastgroup)
        self.position = found.end()
        return _Token(kind, found[kind], self._span(found.start(kind), len(found[kind])))

    def _span(self, start: int, width: int) -> Span:
        begin = self.text.rfind("\n", 0, start) + 1
        line = self.text[begin:].partition("\n")[0]
        number = self.text.count("\n", 0, start) + 1
        return Span(self.file, number, start - begin + 1, max(1, width), line)

    def take(self) -> _Token:
        """The token at hand; the next one comes to hand."""
        token = self.token
        if token.kind != "end":
            self.token = self._scan()
        return token

    def accept(self, mark: str) -> bool:
        """Take the mark if it is at hand."""
        found = self.token.kind == "mark" and self.token.text == mark
        if found:
            self.take()
        return found

    def expect(self, mark: str, where: str) -> None:
        """Take the mark; it has to be at hand."""
        if not self.accept(mark):
            self.fail(f"expected {mark!r} {where}")

    def fail(self, message: str, hint: str = "") -> NoReturn:
        """An error at the token at hand."""
        raise UsageError(message, span=self.token.span, hint=hint)

    def name(self, what: str) -> _Token:
        """Take a name."""
        if self.token.kind != "word":
            self.fail(f"expected {what}")
        return self.take()

    def list_of(self, item: Callable[[], T], end: str, where: str) -> tuple[T, ...]:
        """Items separated by commas, and the mark behind them; the one before is taken."""
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(f"more than {DEEPEST} levels of nesting")
        items = [item()]
        while self.accept(","):
            items.append(item())
        self.expect(end, where)
        self.depth -= 1
        return tuple(items)

    # -- the grammar -----------------------------------------------------------------------------

    def entries(self) -> tuple[Entry, ...]:
        """The whole text."""
        if self.token.kind == "end":
            return ()
        entries = [self.entry()]
        while self.accept(","):
            entries.append(self.entry())
        if self.token.kind != "end":
            self.fail("expected ',' between two passes")
        return tuple(entries)

    def entry(self) -> Entry:
        """A pass, or an edit of what stands before."""
        if self.accept("-"):
            name = self.name("the name of a pass behind '-'")
            return Remove(name.text, name.span)
        if self.accept("+"):
            return self.insert()
        return self.item()

    def insert(self) -> Insert:
        """What stands behind '+'."""
        item = self.item()
        if not self.accept("@"):
            return Insert(item)
        place = self.name("'before', 'after' or 'instead' behind '@'")
        self.expect("=", f"behind '@{place.text}'")
        anchor = self.name("the name of a pass")
        for known in ("before", "after", "instead"):
            if place.text == known:
                return Insert(item, known, anchor.text, anchor.span)
        raise UsageError(
            f"{place.text!r} is no place",
            span=place.span,
            hint=did_you_mean(place.text, ("before", "after", "instead")),
        )

    def item(self) -> Item:
        """A pass with its options, or a repeat."""
        name = self.name("the name of a pass")
        if name.text == "repeat":
            self.expect("(", "behind 'repeat'")
            return Repeat(self.list_of(self.item, ")", "at the end of repeat"), name.span)
        options = self.options() if self.accept("{") else ()
        return Step(name.text, options, name.span)

    def options(self) -> tuple[Option, ...]:
        """What stands between braces."""
        if self.accept("}"):
            return ()
        options = self.list_of(self.option, "}", "behind the options")
        seen: set[str] = set()
        for option in options:
            if option.name in seen:
                raise UsageError(f"option {option.name!r} is given twice", span=option.span)
            seen.add(option.name)
        return options

    def option(self) -> Option:
        """`name=value`."""
        name = self.name("the name of an option")
        self.expect("=", f"behind the option {name.text!r}")
        return Option(name.text, self.value(), name.span)

    def value(self) -> OptionValue:
        """A scalar, or a list of scalars."""
        if not self.accept("["):
            return self.scalar()
        return () if self.accept("]") else self.list_of(self.scalar, "]", "behind the list")

    def scalar(self) -> Scalar:
        """A string, a number or a word."""
        token = self.token
        if token.kind not in ("string", "number", "word"):
            self.fail("expected a value", hint='a string is written "…"')
        value = _SCALARS[token.kind](self, token)
        self.take()
        return value

    def string(self, token: _Token) -> str:
        """The text of a string; escapes are those of JSON."""
        if token.text.startswith("'"):
            return token.text[1:-1]
        try:
            return str(json.loads(token.text, strict=False))
        except json.JSONDecodeError as error:
            self.fail(f"in this string: {error.msg}", hint=r"a backslash is written \\")


def _number(parser: _Parser, token: _Token) -> Scalar:
    if len(token.text) > LONGEST_NUMBER or not math.isfinite(float(token.text)):
        parser.fail("this number is too large")
    return int(token.text) if token.text.removeprefix("-").isdigit() else float(token.text)


def _word(parser: _Parser, token: _Token) -> Scalar:
    return _WORDS.get(token.text, token.text)


_SCALARS: dict[str, Callable[[_Parser, _Token], Scalar]] = {
    "string": _Parser.string,
    "number": _number,
    "word": _word,
}
