"""Give the branches of Concats scales of their own, in a graph that is calibrated."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sparqc.ir.graph import Graph, Value
from sparqc.ir.quantizers import QUANTIZERS
from sparqc.numerics.int8_codes import safe_scale
from sparqc.passes.calibrate.calibrate import Range
from sparqc.passes.place.place import ACTIVATION_RANGE
from sparqc.passes.place.ties import Branch, Ties

if TYPE_CHECKING:
    from networkx.utils import UnionFind


def split_scales(
    graph: Graph, ties: Ties, untied: Collection[Branch], ranges: Sequence[Range]
) -> list[Range]:
    """Untie some branches of a graph, whose scales are those of `ranges`.

    The loudest values that had one scale keep it, others get one of their own.  Returns the ranges
    as they are now.
    """
    return _Scales(graph, ties.groups(untied)).set(ranges)


class _Scales:
    """The constants of groups that get one of their own, with the range."""

    def __init__(self, graph: Graph, groups: UnionFind) -> None:
        self._graph, self._groups = graph, groups
        self._new: dict[tuple[str, object], tuple[Value, float]] = {}

    def set(self, ranges: Sequence[Range]) -> list[Range]:
        """A scale for each group; returns the ranges as they are now."""
        shared: dict[str, dict[object, float]] = {}
        for row in ranges:
            # A pass in between may have taken quantizers away.
            if not row.channels and row.scale in self._graph and row.value in self._graph:
                parts = shared.setdefault(row.scale, {})
                group = self._groups[row.value]
                parts[group] = max(parts.get(group, 0.0), row.alone)
        for name, parts in shared.items():
            loudest = max(parts, key=lambda group: parts[group])
            for group, amax in parts.items():
                if group != loudest and amax:
                    self._new[name, group] = self._scaled(self._graph.value(name), amax), amax
        return [self._moved(row) for row in ranges]

    def _scaled(self, old: Value, amax: float) -> Value:
        assert old.data is not None
        scale = safe_scale(np.array(amax / ACTIVATION_RANGE[1]), old.data.dtype)
        return self._graph.constant(scale, old.name)

    def _moved(self, row: Range) -> Range:
        """A row with the scale of its group, which its quantizers take."""
        scale, amax = self._new.get((row.scale, self._groups[row.value]), (None, 0.0))
        if scale is None or scale.data is None:
            return row
        old, waiting = self._graph.value(row.scale), list(self._graph.value(row.value).readers)
        while waiting:  # Q, and the DQs behind it
            node = waiting.pop()
            if node.op in QUANTIZERS and node.operands.get("scale") is old:
                self._graph.set_operand(node, "scale", scale)
                waiting += node.output.readers
        snr = row.alone_db if row.alone == amax else None
        return replace(
            row, scale=scale.name, amax=amax, step=float(scale.data), snr_db=snr, clipped=0.0
        )
