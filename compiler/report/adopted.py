"""What the report says of quantizers that another tool had put into the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sparqc.base.text import shortened
from sparqc.passes.adopt.adopted import ADOPTED, Adoption, QuantizerChange
from sparqc.passes.calibrate.calibrate import CalibratedRanges
from sparqc.passes.place.placement import Placement
from sparqc.rewrite.facts import Facts

#: The kinds of change in the order in which they are told.
KINDS = ("kept", "moved", "removed", "added")


@dataclass(frozen=True)
class AdoptedRows:
    """All that became of the other tool's quantizers and ranges."""

    changes: tuple[QuantizerChange, ...]
    #: Values and weights whose range is the other tool's.
    taken: tuple[str, ...]
    #: Activations that were measured, and weights whose range was computed, anew.
    measured: tuple[str, ...]
    computed: tuple[str, ...]
    #: Layers that the other tool left in float -> why they stay there.
    left_in_float: Mapping[str, str]
    notes: tuple[str, ...]
    #: Whether the pass ran that puts quantizers where the target wants them.
    placed: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain data; the keys are stable."""
        return asdict(self)


def adopted_rows(facts: Facts) -> AdoptedRows | None:
    """What `adopt`, `place` and `calibrate` found out; None where the model carried nothing."""
    found = facts.get(Adoption)
    if found is None:
        return None
    ranges = facts.get(CalibratedRanges, CalibratedRanges()).ranges
    return AdoptedRows(
        changes=tuple(found.changes),
        taken=tuple(r.value for r in ranges if r.method == ADOPTED),
        measured=tuple(r.value for r in ranges if r.method not in (ADOPTED, "weight")),
        computed=tuple(r.value for r in ranges if r.method == "weight"),
        left_in_float=dict(found.left_in_float),
        notes=tuple(found.notes),
        placed=Placement in facts,
    )


def adopted_lines(rows: AdoptedRows | None) -> Iterator[str]:
    """What a person reads of it: the sums, then each kind of change with its reasons."""
    if rows is None:
        return
    counts = {kind: sum(c.kind == kind for c in rows.changes) for kind in KINDS}
    listed = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    yield f"quantizers of another tool: {listed or 'removed'}"
    if not rows.placed:
        yield (
            "nothing is quantized, and their ranges are lost: the pass `place` did not run; "
            "--passes int8 keeps them, --skip adopt leaves the quantizers as they are"
        )
    if rows.taken or rows.measured or rows.computed:
        yield f"its ranges serve {_several(len(rows.taken), 'scale')}"
    if rows.measured:
        yield f"measured anew: {shortened(rows.measured)}"
    if rows.computed:
        yield f"computed anew from the weights: {shortened(rows.computed)}"
    for kind in KINDS[1:]:
        yield from _grouped(c for c in rows.changes if c.kind == kind)
    for reason, layers in _by(rows.left_in_float.items()).items():
        yield f"{shortened(layers)} in float: {reason}"
    yield from rows.notes


def _grouped(changes: Iterable[QuantizerChange]) -> Iterator[str]:
    """One line for all that share kind and reason."""
    found = [(f"{c.kind}|{c.reason}", f"{c.value} -> {c.to}" if c.to else c.value) for c in changes]
    for key, values in _by((value, key) for key, value in found).items():
        kind, _, reason = key.partition("|")
        yield f"{kind}: {shortened(values)}: {reason}"


def _by(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The first of each pair by the second, in their order."""
    groups: dict[str, list[str]] = {}
    for name, reason in pairs:
        groups.setdefault(reason, []).append(name)
    return groups


def _several(count: int, what: str) -> str:
    return f"{count} {what}" + "s" * (count != 1)
