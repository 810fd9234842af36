"""Whether other orders of channels bring the pruned network nearer, on data held back.

What 2:4 keeps of the magnitudes is a promise.  The network is pruned by magnitude with and without
the new orders, its BatchNorms are measured anew, and its outputs are compared with those of the
dense network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparqc.ir.graph import Graph
from sparqc.numerics.two_four import two_four_mask
from sparqc.passes.masks.apply_mask import apply_mask
from sparqc.passes.masks.sparse_layers import SparseLayer
from sparqc.passes.on_data.held_out import Split
from sparqc.passes.on_data.judge import Judge
from sparqc.passes.on_data.transaction import Judgement, judged, too_few
from sparqc.passes.permute.groups import carry_out, groups_of
from sparqc.passes.permute.orders import orders_of
from sparqc.passes.reestimate import Reestimate
from sparqc.rewrite.context import Batch, Context

#: By the number of a group in the order of the graph, the order that its channels would get.
Proposed = Mapping[int, NDArray[np.int64]]


def judge_orders(
    graph: Graph,
    layers: Sequence[SparseLayer],
    proposed: Proposed,
    context: Context,
    batches: int | None,
) -> Judgement:
    """Which groups keep their new order, by their numbers; `reason` where nothing can judge.

    `layers` are about to be masked.
    """
    name = "permute"
    if context.calibration is None or context.random_calibration:
        kind = "random" if context.random_calibration else "missing"
        return Judgement(name, reason=f"calibration data is {kind}")
    split = Split(graph, context, batches)
    trials = _Trials(graph, layers, proposed, context, split.few())
    if reason := too_few(split):
        return Judgement(name, split.samples, reason=reason)
    judge = Judge(graph, split.held, context.table, free_size=True)
    return judged([str(number) for number in proposed], trials.build, judge, name)


@dataclass(frozen=True)
class _Trials:
    graph: Graph
    layers: Sequence[SparseLayer]
    proposed: Proposed
    context: Context
    #: What BatchNorms are measured on.
    few: Sequence[Batch]

    def build(self, kept: Sequence[str]) -> Graph:
        """The graph with the new orders of some groups, pruned by magnitude."""
        trial, table = self.graph.clone(), self.context.table
        layers = [_same(layer, trial) for layer in self.layers]
        orders = orders_of(trial, table)
        groups = groups_of(orders, layers, table)
        carry_out(orders, {groups[int(n)].segment: self.proposed[int(n)] for n in kept})
        for layer in layers:
            apply_mask(trial, layer, two_four_mask(layer.data(table), layer.axis), table)
        facts = self.context.facts.copy()
        context = replace(self.context, facts=facts, calibration=lambda: self.few)
        Reestimate(always=True).run(trial, context)
        return trial


def _same(layer: SparseLayer, graph: Graph) -> SparseLayer:
    """The layer in a copy of its graph."""
    node = graph.value(layer.node.output.name).producer
    assert node is not None
    return replace(layer, node=node, weight=graph.value(layer.weight.name))
