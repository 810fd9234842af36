"""What is worth a note of the ranges that `calibrate` measured, and a row for each of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from sparqc.base.text import shortened
from sparqc.ir.layer_names import layer_name
from sparqc.passes.calibrate.calibrate import CalibratedRanges, Range
from sparqc.report.tables import plain_table
from sparqc.rewrite.facts import Facts

#: Where the largest range of one scale group is so many times the smallest, small values lose.
LARGE_RATIO = 8.0
#: Quantizers below so many dB cost accuracy; INT8 gives 30 to 45 dB to what networks compute.
LOW_SNR = 25.0
#: Where the largest magnitude is so many times the usual one, few codes are left for the rest.
LARGE_OUTLIERS = 4.0
#: Beyond this share, clipping is no longer about outliers.
LARGE_CLIPPED = 0.01


@dataclass(frozen=True)
class QuantizerRow:
    """One quantizer: what it stands for and how well."""

    value: str
    module: str
    method: str
    #: What the largest code stands for; per channel the largest one.
    amax: float
    #: max|x| of the value.
    largest: float
    #: The share of the elements beyond the range.
    clipped: float
    #: Signal-to-noise ratio in dB; None where the value is zero throughout or the codes are exact.
    snr_db: float | None
    #: max|x| over the magnitude that 99.99 % of the elements stay below.
    outliers: float

    @property
    def title(self) -> str:
        """What people call the value."""
        return layer_name(self.value, self.module)

    @property
    def concerns(self) -> tuple[str, ...]:
        """What looks bad: a kind, which several rows may share."""
        found = {
            f"below {LOW_SNR:g} dB": self.snr_db is not None and self.snr_db < LOW_SNR,
            f"with outliers of more than {LARGE_OUTLIERS:g} times the usual range": (
                self.outliers > LARGE_OUTLIERS
            ),
            f"that clip more than {100 * LARGE_CLIPPED:g} % of their values": (
                self.clipped > LARGE_CLIPPED
            ),
        }
        return tuple(kind for kind, holds in found.items() if holds)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**vars(self), "concerns": list(self.concerns)}


def quantizer_rows(facts: Facts) -> tuple[QuantizerRow, ...]:
    """A row for each quantizer whose scale `calibrate` measured."""
    return tuple(_row(r) for r in facts.get(CalibratedRanges, CalibratedRanges()).ranges)


def _row(r: Range) -> QuantizerRow:
    snr = r.snr_db if r.snr_db is not None and math.isfinite(r.snr_db) else None
    return QuantizerRow(r.value, r.module, r.method, r.amax, r.largest, r.clipped, snr, r.outliers)


def range_line(rows: Sequence[QuantizerRow]) -> str:
    """`62 measured: 38.1 dB in the median, the least 24.9 dB, of relu_3 (act)`; "" without any."""
    known = sorted((r for r in rows if r.snr_db is not None), key=lambda r: r.snr_db or 0.0)
    if not known:
        return ""
    least, median = known[0], known[len(known) // 2]
    return (
        f"{len(rows)} measured: signal-to-noise ratio {median.snr_db:.1f} dB in the median, "
        f"the least {least.snr_db:.1f} dB, of {least.title}"
    )


def range_table(rows: Iterable[QuantizerRow]) -> Table:
    """A row for each quantizer."""
    table = plain_table("quantizer", "by", "range", "max|x|", "clipped", "SNR dB", "outliers")
    for column in table.columns[2:]:
        column.justify = "right"
    for row in rows:
        table.add_row(row.title, row.method, *range_cells(row))
    return table


def range_cells(row: QuantizerRow) -> tuple[str, str, str, str, str]:
    """Range, largest magnitude, clipped share, SNR and outlier ratio as text."""
    snr = "-" if row.snr_db is None else f"{row.snr_db:.1f}"
    clipped = f"{100 * row.clipped:.2g} %" if row.clipped else "none"
    return f"{row.amax:.3g}", f"{row.largest:.3g}", clipped, snr, f"{row.outliers:.1f}"


def range_notes(facts: Facts) -> Iterator[str]:
    """A sentence for each tensor with dead channels, each scale group of unequal ranges, and each
    kind of trouble that quantizers have."""
    ranges = facts.get(CalibratedRanges, CalibratedRanges()).ranges
    yield from (_dead(r) for r in ranges if r.dead)
    groups: dict[str, list[Range]] = {}
    for r in ranges:
        if r.method != "weight":
            groups.setdefault(r.scale, []).append(r)
    for members in groups.values():
        yield from _unequal(members)
    yield from _concerns(quantizer_rows(facts))


def _concerns(rows: Iterable[QuantizerRow]) -> Iterator[str]:
    kinds: dict[str, list[QuantizerRow]] = {}
    for row in rows:
        for kind in row.concerns:
            kinds.setdefault(kind, []).append(row)
    for kind, members in kinds.items():
        members.sort(key=lambda r: (math.inf if r.snr_db is None else r.snr_db, r.value))
        yield f"quantizers {kind}: {shortened([_named(r) for r in members])}"


def _named(row: QuantizerRow) -> str:
    return row.title if row.snr_db is None else f"{row.title}: {row.snr_db:.1f} dB"


def _dead(r: Range) -> str:
    name = layer_name(r.value, r.module)
    if not r.channels:
        return f"{name} is zero throughout the calibration data; its scale is a stand-in"
    count = len(r.dead)
    which = ", ".join(map(str, r.dead[:8])) + (", …" if count > 8 else "")
    plural = "channel is" if count == 1 else "channels are"
    return f"{name}: {count} {plural} zero throughout ({which}); the scale is a stand-in"


def _unequal(members: Iterable[Range]) -> Iterator[str]:
    alive = sorted((r for r in members if r.largest > 0), key=lambda r: r.largest)
    if len(alive) > 1 and alive[-1].largest > LARGE_RATIO * alive[0].largest:
        low, high = alive[0], alive[-1]
        yield (
            f"{layer_name(low.value, low.module)}, up to {low.largest:.3g}, and "
            f"{layer_name(high.value, high.module)}, up to {high.largest:.3g}, "
            "share one scale, which is coarse for the former"
        )
