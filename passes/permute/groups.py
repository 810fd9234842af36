"""The free orders that weights are summed over, and what 2:4 keeps under an order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sparqc.ir.graph import Array
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.numerics.two_four import is_two_four, two_four_mask
from sparqc.passes.masks.sparse_layers import SparseLayer
from sparqc.passes.permute.segments import Layout, Piece, Segment, resolve
from sparqc.passes.permute.ties import Orders

#: The order of the channels of each segment that gets another one.
Chosen = Mapping[Segment, NDArray[np.int64]]


@dataclass(frozen=True)
class Reader:
    """A weight that is about to be masked, and what its reduction axis is made of."""

    layer: SparseLayer
    data: Array
    layout: Layout

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.node.output.name


@dataclass
class Group:
    """Channels that have one order, and the weights that are summed over them."""

    segment: Segment
    readers: list[Reader] = field(default_factory=list)


def groups_of(orders: Orders, layers: Sequence[SparseLayer], table: OperatorTable) -> list[Group]:
    """The channels that the weights of some layers are summed over, in the order of the layers."""
    groups: dict[Segment, Group] = {}
    for layer in layers:
        layout = orders.layout((layer.weight, layer.axis)) or ()
        reader = Reader(layer, layer.data(table), tuple(resolve(layout)))
        for segment in dict.fromkeys(segment for segment, _ in reader.layout):
            groups.setdefault(segment, Group(segment)).readers.append(reader)
    return list(groups.values())


def refusal(group: Group) -> str:
    """Why the order of a group stays as it is; "" where it may change."""
    reasons = sorted(group.segment.reasons)
    if reasons:
        return reasons[0] + f" (and {len(reasons) - 1} more)" * (len(reasons) > 1)
    if group.segment.size < 8:
        return "they are less than two groups of four"
    for reader in group.readers:
        if reader.data.any() and is_two_four(reader.data, reader.layer.axis):
            return f"the weight of {reader.name!r} already is 2:4"
    if not any(True for reader in group.readers for _ in _whole(group.segment, reader)):
        return "no group of four of a weight lies within them: they are blocks, or begin inside one"
    return ""


def _whole(segment: Segment, reader: Reader) -> Iterator[slice]:
    """Where the segment lies on the axis, there where fours of channels are the groups of four."""
    for start, (found, stride) in _placed(reader.layout):
        if found is segment and stride == 1 and start % 4 == 0:
            yield slice(start, start + segment.size)


def _placed(layout: Layout) -> Iterator[tuple[int, Piece]]:
    start = 0
    for segment, stride in layout:
        yield start, (segment, stride)
        start += segment.size * stride


def rows_of(group: Group) -> NDArray[np.float32]:
    """The magnitudes of all weights of a group, [everything else, channels]."""
    stacked = [
        np.abs(np.moveaxis(reader.data, reader.layer.axis, -1)[..., place], dtype=np.float32)
        for reader in sorted(group.readers, key=lambda reader: reader.name)
        for place in _whole(group.segment, reader)
    ]
    return np.concatenate([rows.reshape(-1, group.segment.size) for rows in stacked])


def index_of(layout: Layout, chosen: Chosen) -> NDArray[np.int64]:
    """From which position each position of an axis takes its numbers."""
    parts = [np.empty(0, np.int64)]
    for start, (segment, stride) in _placed(layout):
        order = chosen.get(segment, np.arange(segment.size))
        parts.append((start + order[:, None] * stride + np.arange(stride)).reshape(-1))
    return np.concatenate(parts)


def kept(group: Group, chosen: Chosen) -> float:
    """The share of the magnitude of the weights of a group that 2:4 keeps, from 0 to 1."""
    total, left = 0.0, 0.0
    for reader in group.readers:
        data = np.take(reader.data, index_of(reader.layout, chosen), reader.layer.axis)
        size = np.abs(data, dtype=np.float64)
        total += float(size.sum())
        left += float((size * two_four_mask(data, reader.layer.axis)).sum())
    return left / total if total else 1.0


def carry_out(orders: Orders, chosen: Chosen) -> None:
    """Put the constants into the chosen orders: new arrays, as others may hold the old ones."""
    for (value, axis), layout in orders.layouts.items():
        pieces = tuple(resolve(layout))
        if value.data is not None and any(segment in chosen for segment, _ in pieces):
            value.data = np.take(value.data, index_of(pieces, chosen), axis)
