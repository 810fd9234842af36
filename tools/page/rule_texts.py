"""The text of the rules that a run names, so that the page can show them where they worked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import sparqc.patterns

#: What the names of the shipped pattern files begin with.
SHIPPED = "patterns"
#: A declaration of more lines than this is cut.
LONGEST = 80


def rule_texts(places: Iterable[str]) -> dict[str, str]:
    """`file:line` -> the declaration that begins there, as far as the file is at hand.

    What follows the line in a place (`:6`, the column, or the name of the rule) does not count.
    """
    found = {place: _declaration(*place.rsplit(":", 1)) for place in sorted(set(places))}
    return {place: text for place, text in found.items() if text}


def places_named(
    events: Iterable[Mapping[str, Any]], lines: Iterable[Mapping[str, Any]]
) -> set[str]:
    """The `file:line` of each rule in the events of a run and in the origins of its nodes."""
    said = [
        word for event in events for key in ("span", "rule", "by") for word in _words(event, key)
    ]
    origins = [rule for line in lines for rule in line.get("rules", ())]
    return {place for word in (*said, *origins) if (place := place_of(word))}


def _words(event: Mapping[str, Any], key: str) -> list[str]:
    """What stands under a key of an event: a word, or several."""
    given = event.get(key)
    return [w for w in (given if isinstance(given, list) else [given]) if isinstance(w, str)]


def place_of(words: str) -> str:
    """`patterns/algebra/fold.spq:3` of `patterns/algebra/fold.spq:3:6 fold_batch_norm`, else ""."""
    file, found, rest = words.partition(".spq:")
    line = "".join(takewhile(str.isdigit, rest))
    return f"{file}{found}{line}" if line else ""


def _declaration(file: str, line: str) -> str:
    lines = _lines(file)[int(line) - 1 :]
    body = list(takewhile(_belongs, lines[1:]))[: LONGEST - 1]
    return "\n".join(lines[:1] + body).rstrip()


def _belongs(line: str) -> bool:
    """Whether a line still stands inside the declaration above it, and is none of its examples."""
    return not line or (line[0].isspace() and line.strip() != "example:")


@cache
def _lines(file: str) -> list[str]:
    """The lines of a pattern file, none where it is not at hand."""
    path = Path(file)
    if path.parts[0] == SHIPPED and not path.is_file():
        path = Path(sparqc.patterns.__file__).parent.joinpath(*path.parts[1:])
    try:
        return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    except (OSError, ValueError):
        return []
