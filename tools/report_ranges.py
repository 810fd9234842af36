"""What is worth a note of the ranges that `calibrate` measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sparqc.passes.calibrate import Range

#: Where the largest range of one scale group is so many times the smallest, small values lose.
LARGE_RATIO = 8.0


def range_notes(facts: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each tensor with dead channels, and each scale group of unequal ranges."""
    ranges: list[Range] = facts.get("calibrate", [])
    yield from (_dead(r) for r in ranges if r.dead)
    groups: dict[str, list[Range]] = {}
    for r in ranges:
        if r.method != "weight":
            groups.setdefault(r.scale, []).append(r)
    for members in groups.values():
        yield from _unequal(members)


def _dead(r: Range) -> str:
    if not r.channels:
        return f"{r.value} is zero throughout the calibration data; its scale is a stand-in"
    count = len(r.dead)
    which = ", ".join(map(str, r.dead[:8])) + (", …" if count > 8 else "")
    plural = "channel is" if count == 1 else "channels are"
    return f"{r.value}: {count} {plural} zero throughout ({which}); the scale is a stand-in"


def _unequal(members: Iterable[Range]) -> Iterator[str]:
    alive = sorted((r for r in members if r.largest > 0), key=lambda r: r.largest)
    if len(alive) > 1 and alive[-1].largest > LARGE_RATIO * alive[0].largest:
        low, high = alive[0], alive[-1]
        yield (
            f"{low.value} (up to {low.largest:.3g}) and {high.value} (up to {high.largest:.3g}) "
            "share one scale, which is coarse for the former"
        )
