"""How much of measured BatchNorm statistics to take, judged on images that they do not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.passes.on_data.judge import Judge

#: The shares of the measured statistics that are tried; the largest of equally good ones is taken.
SHARES = (1.0, 0.5)
#: Mean and variance of each channel.
Statistics = tuple[Array, Array]
#: By the BatchNorms that share them, each named by the value that it defines.
Measured = Mapping[tuple[str, ...], Statistics]


def blended(old: Statistics, new: Statistics, share: float) -> Statistics:
    """Mean and variance of a mixture of two populations, `share` of it the second."""
    if share == 1:
        return new
    mean = (1 - share) * old[0] + share * new[0]
    spread = share * (1 - share) * np.square(new[0] - old[0])
    return mean, (1 - share) * old[1] + share * new[1] + spread


def best_share(
    graph: Graph, old: Measured, new: Measured, judge: Judge, shares: Sequence[float]
) -> float:
    """The first of the shares with which the outputs are nearest."""
    # One after the other: a runner keeps weights of its own.
    noise = [float(judge.noise(with_statistics(graph, old, new, s)).mean()) for s in shares]
    return shares[int(np.argmin(noise))]


def with_statistics(graph: Graph, old: Measured, new: Measured, share: float) -> Graph:
    """A copy of the graph with a share of the new statistics."""
    copy = graph.clone()
    if share:
        take(copy, old, new, share)
    return copy


def take(graph: Graph, old: Measured, new: Measured, share: float) -> None:
    """Give the BatchNorms a share of the new statistics: under the old names, where nobody else
    reads those."""
    for names, statistics in new.items():
        nodes = [node for name in names if (node := graph.value(name).producer)]
        found = blended(old[names], statistics, share)
        for slot, data in zip(("mean", "var"), found, strict=True):
            _replace(graph, nodes, slot, data)


def _replace(graph: Graph, nodes: list[Node], slot: str, data: Array) -> None:
    old = nodes[0].operands[slot]
    assert isinstance(old, Value) and old.data is not None
    data = data.astype(old.data.dtype)
    if set(old.readers) <= set(nodes) and not old.is_output:
        old.data = data
        return
    new = graph.constant(data, old.name)
    for node in nodes:
        graph.set_operand(node, slot, new)
