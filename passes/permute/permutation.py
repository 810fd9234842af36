"""Permute channels so that 2:4 keeps more of the weights, without an operator at run time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparqc.ir.graph import Graph
from sparqc.passes.masks.sparse_layers import SparseLayer
from sparqc.passes.on_data.transaction import note, renamed
from sparqc.passes.permute.groups import Group, carry_out, groups_of, kept, refusal, rows_of
from sparqc.passes.permute.orders import orders_of
from sparqc.passes.permute.segments import Segment, resolve
from sparqc.passes.permute.ties import Orders
from sparqc.passes.permute.twins import twins
from sparqc.rewrite.context import Context


@dataclass(frozen=True)
class Permutation:
    """What became of channels that have one order, and that masked weights are summed over."""

    group: str  # the first value that has these channels
    layers: tuple[str, ...]  # the values that the masked layers define
    channels: int
    #: The share of the magnitude of their weights that 2:4 keeps in the order as it was, and now.
    before: float
    after: float
    reason: str  # why the order stayed; "" where it changed


@dataclass(frozen=True)
class Permutations:
    """The fact that permuting leaves: a row for each group of channels."""

    groups: tuple[Permutation, ...] = ()
    #: Why nothing judged the orders, which were taken all the same; "" where they were judged.
    untried: str = ""


#: Why the judge let an order stay as it was.
UNDONE = "undone: with its new order the outputs came no nearer on data that is held back"


def permute_channels(
    graph: Graph,
    context: Context,
    layers: Sequence[SparseLayer],
    *,
    always: bool = False,
    batches: int | None = None,
) -> list[Permutation]:
    """Permute the channels that the weights of `layers` are summed over, where that is proven to
    leave the outputs as they are, so that 2:4 masks keep as much magnitude as a search finds.

    Calibration data, at most so many `batches`, judge which orders stay (`judged`); with `always`,
    and where there is none or too little, all do.

    Only constants change, and the constants of `Context.reference` with them, so that its values
    still are those of the graph.  Returns a row for each group of channels, and leaves them among
    the facts.
    """
    orders = orders_of(graph, context.table)
    names = _names(orders)
    others = twins(orders, context.reference, context.table)
    chosen: dict[Segment, NDArray[np.int64]] = {}
    rows = []
    groups = groups_of(orders, layers, context.table)
    for done, group in enumerate(groups):
        context.progress(done, len(groups), "permute")
        reason = refusal(group) or others.refusal(group.segment)
        rows.append(_improve(group, names[group.segment], chosen, reason))
    proposed = {n: chosen[g.segment] for n, g in enumerate(groups) if g.segment in chosen}
    untried = ""
    if proposed and not always:
        # Only here is torch needed, which takes seconds to import.
        from sparqc.passes.permute.judged import judge_orders

        found = judge_orders(graph, layers, proposed, context, batches)
        untried = found.reason
        if not untried:
            called = {str(number): rows[number].group for number in proposed}
            note(context.facts, renamed(found, called))
            for number in map(int, found.undone):
                del chosen[groups[number].segment]
                rows[number] = replace(rows[number], after=rows[number].before, reason=UNDONE)
    carry_out(orders, chosen)
    others.carry_out(chosen)
    context.facts.put(Permutations(tuple(rows), untried))
    return rows


def _improve(
    group: Group, name: str, chosen: dict[Segment, NDArray[np.int64]], reason: str
) -> Permutation:
    """Choose the order of a group, where there is no reason against that."""
    before = after = kept(group, chosen)
    if not reason:
        # Only here is torch needed, which takes seconds to import.
        from sparqc.passes.permute.search import best_order

        order = best_order(rows_of(group))
        after = kept(group, {**chosen, group.segment: order})
        if after > before:
            chosen[group.segment] = order
        else:
            after, reason = before, "no better order was found"
    return Permutation(
        group=name,
        layers=tuple(reader.name for reader in group.readers),
        channels=group.segment.size,
        before=before,
        after=after,
        reason=reason,
    )


def _names(orders: Orders) -> dict[Segment, str]:
    """The first value with each segment's channels; a constant where no operator gives them."""
    names: dict[Segment, str] = {}
    for constant in (False, True):
        for (value, _), layout in orders.layouts.items():
            if value.is_const == constant:
                for segment, _ in resolve(layout):
                    names.setdefault(segment, value.name)
    return names
