"""Every hostile file."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.suite.case import Case
from tests.hostile.suite.kinds import (
    archives,
    beside,
    elements,
    growth,
    meaning,
    outside,
    strange,
    structure,
)


def all_cases() -> Iterator[Case]:
    """The cases of all kinds, always in the same order."""
    for kind in (structure, meaning, elements, outside, growth, strange, beside, archives):
        yield from kind.cases()
