"""Repair what pruning takes, as far as data and graph allow it in the time of a usual compile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from sparqc.ir.graph import Graph
from sparqc.numerics.two_four import is_two_four
from sparqc.passes.layerwise.one_shot import OneShot
from sparqc.passes.layerwise.repaired import Repaired
from sparqc.passes.masks.pruning import Unseen
from sparqc.passes.masks.sparse_layers import SparseLayer
from sparqc.passes.on_data.held_out import Split
from sparqc.passes.on_data.judge import Judge, decibels
from sparqc.passes.on_data.not_in_torch import NotInTorch
from sparqc.rewrite.context import Context

#: So many images are enough: more cost time in proportion and gain little.
IMAGES = 128
#: Layers with more columns are pruned by magnitude: time and memory grow with the square, to
#: minutes and gigabytes a layer.
COLUMNS = 8192


@dataclass
class Outcome:
    """What was repaired: a row for each layer."""

    rows: list[Repaired] = field(default_factory=list)
    #: Why layers were left to magnitude; "" where nothing stood against it.
    reason: str = ""
    unseen: Unseen | None = None


def repair_where_possible(
    graph: Graph,
    context: Context,
    layers: Sequence[SparseLayer],
    one_shot: OneShot,
    limit: int | None,
) -> Outcome:
    """Mask and repair in place the layers that are not 2:4 already, on a part of the calibration
    data, and look at the outputs on the rest.

    Without data, on random data and where an operator does not run in PyTorch nothing, or not
    everything, is repaired.  Raises SparqcError for calibration data that does not fit.
    """
    dense = [s for s in layers if not is_two_four(s.data(context.table), s.axis)]
    small = [s for s in dense if math.prod(s.shape) // max(1, s.shape[0]) <= COLUMNS]
    if not small:
        return Outcome(reason=f"layers have more than {COLUMNS} columns" if dense else "")
    if context.calibration is None or context.random_calibration:
        kind = "random" if context.random_calibration else "missing"
        return Outcome(reason=f"calibration data is {kind}")
    split = Split(graph, context, limit)
    seen = split.parts(IMAGES)
    judge = Judge(graph, split.held, context.table) if split.held and _gives_floats(graph) else None
    outcome = Outcome()
    try:
        outcome.rows = one_shot.run_on(small, seen)
    except NotInTorch as error:
        outcome.reason = error.message
    if judge is not None and outcome.rows:
        outcome.unseen = Unseen(decibels(judge.noise(graph)), split.samples)
    return outcome


def _gives_floats(graph: Graph) -> bool:
    return any(value.type.dtype in ("f16", "bf16", "f32", "f64") for value in graph.outputs)
