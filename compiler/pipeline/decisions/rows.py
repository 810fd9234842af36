"""What the facts of a pass say of single values and layers: numbers, and reasons.

A row is a dataclass inside of a fact that names what it is about, in one of the fields `NAMING`.
Facts need not know of this: whatever a pass leaves for the report is told with its decisions too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: The fields that name what a row is about, those first that name it most closely.
NAMING = ("scale", "weight", "value", "layer", "layers", "name")
#: Fields that stand elsewhere in an event, or differ from run to run.
_ELSEWHERE = {"module", "modules", "source", "reason", "seconds"}
#: Longer lists of numbers are left out.
_MOST = 8

Plain = None | bool | int | float | str | list[Any]


@dataclass(frozen=True)
class Row:
    """One row of a fact."""

    fact: str
    #: What it is about: the words of its naming fields, in their order.
    names: tuple[str, ...]
    fields: Mapping[str, Plain]
    reason: str
    module: str
    source: str

    def to_json(self) -> dict[str, Plain]:
        """Plain data: the name of the fact, and the fields."""
        return {"fact": self.fact, **self.fields}


def rows_of(fact: object) -> Iterator[Row]:
    """The rows of a fact, in its order."""
    if not dataclasses.is_dataclass(fact):
        return
    for field in dataclasses.fields(fact):
        held = getattr(fact, field.name)
        items = list(held.values()) if isinstance(held, Mapping) else held
        for item in items if isinstance(items, (tuple, list)) else ():
            row = _row(type(fact).__name__, item)
            if row is not None:
                yield row


def _row(fact: str, item: Any) -> Row | None:
    if not dataclasses.is_dataclass(item):
        return None
    held = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    names = [name for key in NAMING for name in _words(held.get(key))]
    if not names:
        return None
    said = {k: plain(v) for k, v in held.items() if k not in _ELSEWHERE}
    kept = {k: v for k, v in said.items() if v is not None and v not in ("", [])}
    return Row(
        fact,
        tuple(dict.fromkeys(names)),
        kept,
        str(held.get("reason") or held.get("note") or ""),
        str(held.get("module") or ""),
        str(held.get("source") or ""),
    )


def plain(value: object) -> Plain:
    """A number, a word or a short list of them as JSON can say it; None for all else."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (tuple, list)) and len(value) <= _MOST:
        found = [plain(v) for v in value]
        return None if None in found else found
    return None


def _words(held: object) -> tuple[str, ...]:
    if isinstance(held, str):
        return (held,) if held else ()
    if isinstance(held, (tuple, list)):
        return tuple(word for word in held if isinstance(word, str))
    return ()
