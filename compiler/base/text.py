"""Names and numbers in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def shortened(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 2 more`: the first of the names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def counted(number: int, what: str) -> str:
    """`1 operator`, `3 operators`."""
    return f"{number} {what}{'' if number == 1 else 's'}"
