"""Delta debugging: the fewest of some things that still fail.

Source: A. Zeller and R. Hildebrandt, Simplifying and Isolating Failure-Inducing Input, IEEE
Transactions on Software Engineering 28(2), 2002, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


def minimal(things: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """A part of the things, in their order, that fails, while no part with one thing less does.

    `fails` holds for all of them together.  It is asked about n log n times at best, n^2 at worst;
    neighbours are left out together first, halves, quarters, and so on.
    """
    kept, parts = list(things), 2
    while len(kept) > 1:
        smaller = next((c for c in _smaller(kept, parts) if fails(c)), None)
        if smaller is None:
            if parts >= len(kept):
                break
            parts = min(2 * parts, len(kept))
            continue
        # A part that fails alone starts anew; behind a part that was left out go on as finely.
        parts = 2 if len(smaller) <= -(-len(kept) // parts) else max(parts - 1, 2)
        kept = smaller
    return kept


def _smaller(things: list[T], parts: int) -> Iterator[list[T]]:
    """Each part alone, then all but each part; the last parts first, as faults show at the end."""
    bounds = [len(things) * i // parts for i in range(parts + 1)]
    cuts = [(a, b) for a, b in pairwise(bounds) if a < b]
    yield from (things[a:b] for a, b in cuts)
    if parts > 2:
        yield from (things[:a] + things[b:] for a, b in reversed(cuts))
