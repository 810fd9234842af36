"""What the tests of whole networks share: layers to mask, random orders, outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from sparqc.capture.capture import capture
from sparqc.ir.graph import Array, Graph
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.vocabulary.table import default_table
from sparqc.ir.weighted import weighted
from sparqc.passes.masks.sparse_layers import SparseLayer
from sparqc.passes.permute import Permutation, permute_channels
from sparqc.passes.permute.groups import carry_out
from sparqc.passes.permute.orders import orders_of
from sparqc.passes.permute.segments import resolve
from sparqc.rewrite.context import Context
from tests.calibration_models import context

TABLE = default_table()


def graph_of(net: nn.Module, *inputs: Tensor) -> Graph:
    return capture(net.eval(), inputs).graph


def layers_of(graph: Graph) -> list[SparseLayer]:
    """Every weight that 2:4 fits, once, as if the target had a kernel for each."""
    found = {
        w.weight: SparseLayer(w.node, w.weight, w.reduction_axis, w.weight.shape, "")  # type: ignore[arg-type]
        for w in reversed(list(weighted(graph, TABLE)))
        if w.weight.shape and w.weight.shape[w.reduction_axis] % 4 == 0  # type: ignore[operator]
    }
    return list(reversed(found.values()))


def permute(graph: Graph, given: Context | None = None) -> dict[str, Permutation]:
    """Permute all that may be; the rows by their groups."""
    rows = permute_channels(graph, given or context(), layers_of(graph))
    return {row.group: row for row in rows}


def shuffle(graph: Graph, seed: int = 0) -> int:
    """Put everything that is free into a random order; returns how many orders that are."""
    orders, random = orders_of(graph, default_table()), np.random.default_rng(seed)
    found = (
        segment
        for (value, _), layout in orders.layouts.items()
        if value.is_const
        for segment, _ in resolve(layout)
    )
    free = dict.fromkeys(s for s in found if not s.reasons and s.size > 1)
    carry_out(orders, {segment: random.permutation(segment.size) for segment in free})
    return len(free)


def outputs(graph: Graph, inputs: Sequence[Tensor]) -> list[Array]:
    return open_runner(graph, TABLE).run([x.numpy() for x in inputs])[0]


def assert_equal_outputs(before: list[Array], after: list[Array], rtol: float = 1e-9) -> None:
    """Equal up to the order of sums: relative to the largest number."""
    for one, other in zip(before, after, strict=True):
        largest = float(np.max(np.abs(one), initial=1e-30))
        np.testing.assert_allclose(other / largest, one / largest, rtol=0, atol=rtol)
