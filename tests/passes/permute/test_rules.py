"""Every rule keeps its word: permute what an operator reads, and its results are permuted so."""

from __future__ import annotations

import numpy as np
import pytest

from sparqc.ir.graph import Array, Value
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.permute.groups import Chosen, carry_out, index_of
from sparqc.passes.permute.orders import tie
from sparqc.passes.permute.rules import rule_of
from sparqc.passes.permute.segments import Segment, resolve
from sparqc.passes.permute.ties import Orders, axes_of
from tests.ir.instances import graph_of, only_node, run

TABLE = default_table()
SEEDS = range(12)


def free_segments(orders: Orders) -> list[Segment]:
    """What may be permuted, and is more than one channel."""
    found = (segment for layout in orders.layouts.values() for segment, _ in resolve(layout))
    return list(dict.fromkeys(s for s in found if not s.reasons and s.size > 1))


def permuted(value: Value, array: Array, orders: Orders, chosen: Chosen) -> Array:
    for axis in axes_of(value):
        if axis in orders.layouts:
            index = index_of(tuple(resolve(orders.layouts[axis])), chosen)
            array = np.take(array, index, axis[1])
    return array


@pytest.mark.parametrize("name", [name for name in TABLE.names if rule_of(name, TABLE)])
def test_permuted_operands_give_permuted_results(name: str) -> None:
    row = TABLE.require(name)
    level = "fx" if row.fx else "onnx"
    assert row.sample is not None
    permutations = 0
    for seed in SEEDS:
        random = np.random.default_rng([seed, *name.encode()])
        graph, feeds = graph_of(row, row.sample(random), level, TABLE)
        expected = run(graph, feeds, TABLE)
        orders = Orders()
        tie(only_node(graph), orders, TABLE)
        chosen = {segment: random.permutation(segment.size) for segment in free_segments(orders)}
        permutations += len(chosen)

        fed = zip(graph.inputs, feeds, strict=True)
        feeds = [permuted(value, array, orders, chosen) for value, array in fed]
        carry_out(orders, chosen)
        for value, before, after in zip(
            graph.outputs, expected, run(graph, feeds, TABLE), strict=True
        ):
            want = permuted(value, before, orders, chosen)
            np.testing.assert_allclose(after, want, rtol=2e-5, atol=2e-5, err_msg=str(seed))
    assert permutations, "the rule permits nothing on any sample"
