"""One line of a list, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

#: Of a line that is new, gone, a heading, or a warning.
Mark = Literal["", "+", "-", "#", "!"]


@dataclass(frozen=True)
class Row:
    """One line of a list; the text that belongs to it is made when the line is chosen."""

    text: str
    detail: Callable[[], str] = str
    #: The operator that it is about, for `why`.
    node: str = ""
    #: The step that it leads to: the number of a pass, and which of its steps.
    step: tuple[int, int] | None = None
    mark: Mark = ""


def printable(text: str) -> str:
    r"""Text as a terminal may show it: control characters as `\x1b`, so that a name is a name."""
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    if character == "\t":
        return "    "
    return character.encode("unicode_escape").decode("ascii")
