"""Reads one logical line with the grammar of `spq.lark`, and says plainly why it cannot."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Tree, UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.exceptions import VisitError

from sparqc.errors import Fix, PatternError, Span
from sparqc.lang.ast import Expr
from sparqc.lang.parse.builder import LineBuilder
from sparqc.lang.parse.keywords import LINE_USAGE
from sparqc.lang.parse.source import Source
from sparqc.lang.walk import children

#: How deep expressions and calls may nest; Python's recursion limit is far above.
DEEPEST = 60

#: So many lines are kept parsed: of a file that is checked at each letter, most are as before.
_KEPT_LINES = 8192

#: What people write who think of another language, and what stands here in its place.
_WORDS = {"&": "and", "|": "or", "!": "not "}
_FOREIGN = {
    "'": "strings stand in double quotes",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`, or `!=`",
    ";": "each statement has its own line",
    "`": "strings stand in double quotes",
}


@cache
def _grammar() -> Lark:
    text = Path(__file__).with_name("spq.lark").read_text(encoding="utf-8")
    return Lark(
        text, parser="lalr", start=list(LINE_USAGE), propagate_positions=True,
        maybe_placeholders=False,
    )  # fmt: skip


@lru_cache(_KEPT_LINES)
def _tree(start: str, text: str) -> Tree[Token]:
    return _grammar().parse(text, start=start)


def forget_lines() -> None:
    """Parse every line anew, as the first time."""
    _tree.cache_clear()


def read(start: str, source: Source) -> Any:
    """The value of a line, whose kind is one of `LINE_USAGE`.

    Raises `PatternError` with the place of the first word that does not fit.
    """
    try:
        value = LineBuilder(source, read_expr).transform(_tree(start, source.text))
    except UnexpectedInput as error:
        raise _explain(error, start, source) from None
    except VisitError as error:
        if isinstance(error.orig_exc, PatternError):
            raise error.orig_exc from None
        if isinstance(error.orig_exc, RecursionError):
            raise _too_deep(source) from None
        raise
    except RecursionError:
        raise _too_deep(source) from None
    _check_depth(value, source)
    return value


def read_expr(source: Source) -> Expr:
    """One expression; raises `PatternError`."""
    expr: Expr = read("expr", source)
    return expr


def _check_depth(value: object, source: Source) -> None:
    stack = [(value, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > DEEPEST:
            raise _too_deep(source)
        stack += [(child, depth + 1) for child in children(node)]


def _too_deep(source: Source) -> PatternError:
    message = f"this line nests deeper than {DEEPEST} levels"
    return PatternError(message, span=source.whole, hint="split it into several lines")


def _explain(error: UnexpectedInput, start: str, source: Source) -> PatternError:
    usage = LINE_USAGE[start]
    if isinstance(error, UnexpectedCharacters):
        character = source.text[error.pos_in_stream or 0]
        message, hint = f"{character!r} does not belong here", _FOREIGN.get(character, usage)
        place = source.at(error.pos_in_stream or 0)
        return PatternError(message, span=place, hint=hint, fixes=_own_word(place, character))
    if not isinstance(error, UnexpectedToken) or error.token.type == "$END":
        end = len(source.text.rstrip())
        message = "something is missing at the end of this line" if end else "nothing stands here"
        return PatternError(message, span=source.at(max(0, end - 1)), hint=usage)
    token = error.token
    span = source.at(token.start_pos or 0, len(token))
    if start == "condition" and source.text.split(maxsplit=1)[0] in ("if", "when", "assert"):
        hint = 'a condition stands by itself, with its reason behind it: x.rank == 4 else "…"'
        word = source.text.split()[0]
        return PatternError(
            f"{word!r} begins no condition",
            span=source.at(source.text.index(word), len(word)),
            hint=hint,
        )
    hint, fixes = _hint(token, error.expected, start), _fixes(token, error.expected, start, span)
    message = f"{str(token)!r} does not belong here"
    return PatternError(message, span=span, hint=hint, fixes=fixes)


def _own_word(place: Span, character: str) -> list[Fix]:
    """The fix that writes the word of this language for a sign of another, twice or once."""
    if character not in _WORDS:
        return []
    twice = place.text.startswith(2 * character, place.column - 1) and character != "!"
    return [Fix(replace(place, width=1 + twice), _WORDS[character])]


def _fixes(token: Token, expected: set[str], start: str, place: Span) -> list[Fix]:
    """What to write for a word that does not fit."""
    if token == "=" and start in ("condition", "expr"):
        return [Fix(place, "==")]
    if token == "=" and place.text[: place.column - 1].endswith("="):
        return [Fix(place, "")]
    if "COMMA" in expected and (token[0].isalnum() or token[0] == "_"):
        before = place.text[: place.column - 1].rstrip()
        return [Fix(replace(place, column=len(before) + 1, width=0), ",")]
    return []


def _hint(token: Token, expected: set[str], start: str) -> str:
    """What may have been meant by a word that does not fit."""
    if token == "=" and start in ("statement", "rewrite") and "EQUAL" not in expected:
        return "a name is defined with one ="
    if token == "=" and start in ("condition", "expr"):
        return "two things are compared with =="
    if token == "(" and start in ("condition", "expr"):
        return "a Python function is called as @name(...)"
    if "COMMA" in expected and (token[0].isalnum() or token[0] == "_"):
        return "is a comma missing in front of it?"
    return LINE_USAGE[start]
