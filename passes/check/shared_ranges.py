"""Values that share one scale although their ranges are far apart: what that costs in accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sparqc.ir.layer_names import layer_name
from sparqc.passes.calibrate.calibrate import CalibratedRanges, Range
from sparqc.passes.check.finding import Finding
from sparqc.rewrite.context import Context


def far_apart(context: Context) -> Iterator[Finding]:
    """A note for each scale that serves values whose ranges differ by more than a knob allows.

    The value with the small range is left with that much fewer of the 255 codes.  Silent where
    nothing was calibrated, and where no knob `concat_ratio` is declared.
    """
    limit = context.rules.knobs.get("concat_ratio")
    if not isinstance(limit, int | float):
        return
    groups: dict[str, list[Range]] = {}
    for found in context.facts.get(CalibratedRanges, CalibratedRanges()).ranges:
        if not found.channels and found.largest > 0:
            groups.setdefault(found.scale, []).append(found)
    for ranges in groups.values():
        yield from _finding(ranges, limit)


def _finding(ranges: Iterable[Range], limit: float) -> Iterator[Finding]:
    # By name where ranges are equal, so that the text does not depend on an order.
    by_range = sorted(ranges, key=lambda r: (r.largest, r.value))
    small, large = by_range[0], by_range[-1]
    ratio = large.largest / small.largest
    if ratio > limit:
        yield Finding(
            id="shared-range-ratio",
            grade="note",
            nodes=tuple(r.value for r in by_range),
            message=f"{layer_name(small.value, small.module)}, up to {small.largest:.3g}, and "
            f"{layer_name(large.value, large.module)}, up to {large.largest:.3g}, share one scale: "
            f"ratio {ratio:.3g}",
            cure="keep the Concat in float with --exclude, or all of them with --knob concat=float",
            source="tensorrt.md §3.9, §7",
        )
