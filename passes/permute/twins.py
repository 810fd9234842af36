"""The same channels in the graph as it was read, with which later passes compare values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sparqc.ir.graph import Graph
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.passes.permute.groups import Chosen, carry_out
from sparqc.passes.permute.orders import orders_of
from sparqc.passes.permute.segments import Piece, Segment, resolve
from sparqc.passes.permute.ties import Orders


@dataclass
class Twins:
    """The segments of another graph that lie on values of the same names."""

    orders: Orders | None = None
    #: For each segment of either graph those of the other one; None where the layouts differ.
    found: dict[Segment, set[Segment | None]] = field(default_factory=dict)

    def refusal(self, segment: Segment) -> str:
        """Why the other graph does not let these channels change places; "" where it does."""
        if self.orders is None:
            return ""
        found = self.found.get(segment, {None})
        twin = next(iter(found))
        if len(found) > 1 or twin is None or self.found[twin] != {segment}:
            return "the graph as it was read has other channels there"
        reasons = sorted(twin.reasons)
        return f"in the graph as it was read, {reasons[0]}" if reasons else ""

    def carry_out(self, chosen: Chosen) -> None:
        """Put the constants of the other graph into the same orders."""
        if self.orders is not None:
            same = {twin: order for s, order in chosen.items() for twin in self.found[s] if twin}
            carry_out(self.orders, same)


def twins(orders: Orders, reference: Graph | None, table: OperatorTable) -> Twins:
    """Compare how the values of two graphs are laid out, by their names."""
    if reference is None:
        return Twins()
    result = Twins(orders_of(reference, table))
    for one, other in _pairs(orders, result.orders or Orders(), reference):
        for segment, twin in ((one, other), (other, one)):
            if segment is not None:
                result.found.setdefault(segment, set()).add(twin)
    return result


def _pairs(
    orders: Orders, others: Orders, reference: Graph
) -> Iterator[tuple[Segment | None, Segment | None]]:
    """The segments that lie in the same place; a lone one where the layouts differ."""
    for (value, axis), layout in orders.layouts.items():
        if value.name not in reference:
            continue
        twin = reference.value(value.name)
        if twin.shape != value.shape:
            continue
        ones = list(resolve(layout))
        others_there = list(resolve(others.layouts.get((twin, axis), ())))
        alike = _cuts(ones) == _cuts(others_there)
        yield from (
            zip((s for s, _ in ones), (s for s, _ in others_there), strict=True)
            if alike
            else [*((s, None) for s, _ in ones), *((None, s) for s, _ in others_there)]
        )


def _cuts(pieces: list[Piece]) -> list[tuple[int, int]]:
    return [(segment.size, stride) for segment, stride in pieces]
