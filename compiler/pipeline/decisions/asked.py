"""The decisions that a pass asked for, one by one, and the changes that came of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sparqc.pipeline.decisions.changes import Change


@dataclass(frozen=True)
class Asked:
    """One thing that a pass was allowed to do."""

    number: int
    #: The values that it is about.
    names: tuple[str, ...]


def numbered(
    changes: Iterable[Change], asked: Sequence[Asked]
) -> list[tuple[Change, Asked | None]]:
    """Each change with the decision that it came of; None where none speaks of it."""
    by_name: dict[str, Asked] = {}
    for one in asked:
        for name in one.names:
            by_name.setdefault(name, one)
    return [
        (change, next((by_name[name] for name in _names(change) if name in by_name), None))
        for change in changes
    ]


def _names(change: Change) -> Iterable[str]:
    yield change.subject
    yield from (*change.removed, *change.added, *change.constants, *change.altered)
    yield from (rewired.node for rewired in change.rewired)
