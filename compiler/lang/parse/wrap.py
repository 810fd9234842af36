"""Breaks lines that are longer than the page.

Every function returns the lines without the indentation of the first one, so that continuation
lines begin with what they have more.
"""

from __future__ import annotations

import re

from sparqc.lang.ast import Template
from sparqc.lang.parse.strings import quote

PAGE = 100
STEP = 4
_MORE = " " * STEP
_WORD = re.compile(r"(?:\{[^{}]*\}|[^\s])+\s*|\s+")
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[(\[{]|[)\]}]|, | (?:and|or) |[^"()\[\]{},]|,')


def indented(text: str, depth: int) -> str:
    """The text with each line that holds something moved to the right by `depth` steps."""
    margin = " " * STEP * depth
    return "\n".join(margin + line if line else line for line in text.split("\n"))


def wrap_string(text: str, width: int) -> list[str]:
    """A string as adjacent literals of at most `width` characters, broken behind blanks."""
    pieces: list[str] = []
    for word in _WORD.findall(text) or [""]:
        if pieces and len(quote(pieces[-1] + word)) <= width:
            pieces[-1] += word
        else:
            pieces.append(word)
    return [quote(piece) for piece in pieces]


def wrap_sentence(lead: str, text: str, indent: int) -> str:
    """`lead "sentence"`, its literals below one another."""
    literals = wrap_string(text, PAGE - indent - len(lead))
    return lead + f"\n{' ' * len(lead)}".join(literals)


def wrap_code(text: str, indent: int) -> str:
    """A statement or an expression, broken behind commas, and in front of `and` and `or`."""
    if indent + len(text) <= PAGE:
        return text
    lines = [""]
    for part, continues in _parts(text):
        if continues and indent + len((lines[-1] + part).rstrip()) > PAGE:
            lines[-1] = lines[-1].rstrip()
            lines.append(_MORE + part.lstrip())
        else:
            lines[-1] += part
    return "\n".join(lines)


def _parts(text: str) -> list[tuple[str, bool]]:
    """The text in parts, each with whether a line may begin with it.

    Commas break in brackets only, as the line would end otherwise.
    """
    parts, depth = [("", False)], 0
    for piece in _PIECE.findall(text):
        depth += (piece in "([{") - (piece in ")]}")
        if piece in (" and ", " or "):
            parts.append((piece, True))
        else:
            last, breaks = parts[-1]
            parts[-1] = (last + piece, breaks)
            if piece == ", " and depth > 0:
                parts.append(("", True))
    return parts


def wrap_condition(expr: str, reason: Template | None, column: int, indent: int) -> str:
    """`expr  else name "reason"`, `else` at a column where that fits, else on a line of its own."""
    if reason is None:
        return wrap_code(expr, indent)
    for line in (f"{expr:<{column}}  {said(reason)}", f"{expr}  {said(reason)}"):
        if indent + len(line) <= PAGE:
            return line
    lead = f"{_MORE}{_lead(reason)}"
    return f"{wrap_code(expr, indent)}\n{wrap_sentence(lead, reason.text, indent)}"


def wrap_never(reason: Template, expr: str, indent: int) -> str:
    """`never "reason" if expr`, or `never "reason"` without an expression."""
    sentence = wrap_sentence("never ", reason.text, indent)
    if not expr:
        return sentence
    if indent + len(sentence.rsplit("\n")[-1]) + len(f" if {expr}") <= PAGE:
        return f"{sentence} if {expr}"
    return f"{sentence}\n{_MORE}if {wrap_code(expr, indent + STEP)}"


def said(reason: Template) -> str:
    """`else name "reason"`."""
    return f"{_lead(reason)}{quote(reason.text)}"


def _lead(reason: Template) -> str:
    return f"else {reason.id} " if reason.id else "else "
