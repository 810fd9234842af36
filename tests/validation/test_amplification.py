"""What a network makes of rounding."""

import numpy as np
import pytest

from sparqc.validation.amplification import SINGLE, rounded_outputs
from tests.match.sketches import TABLE, graph_of


def test_sums_that_cancel_do_not_cancel_their_rounding():
    """Each column sums to 0: factors for columns alone would leave it there."""
    graph = graph_of("x: f32[batch, 8, 6]\na = nn.neg(x)\ny = nn.reduce_sum(a, axes=[1, 2])")
    x = np.tile(np.array([1, -1], np.float32)[:, None], (3, 4, 6))
    moved = [abs(y).max() for (y,) in rounded_outputs(graph, [x], TABLE, SINGLE)]
    assert all(SINGLE / 10 < most < SINGLE * x[0].size for most in moved)
    assert len(set(moved)) > 1


@pytest.mark.parametrize("shape", ["", "batch", "batch, 3", "3, batch", "2, 3, 4, 5"])
def test_values_of_any_shape_are_off_by_the_step(shape):
    graph = graph_of(f"x: f32[{shape}]\ny = nn.neg(x)")
    x = np.ones([int(size) if size.isdigit() else 7 for size in shape.split(", ") if size])
    for (y,) in rounded_outputs(graph, [x.astype(np.float32)], TABLE, 1e-3):
        assert y.shape == x.shape and 0 < abs(y + 1).max() <= 1.01e-3


def test_the_graph_stays_as_it_is():
    graph = graph_of("x: f32[2]\ny = nn.neg(x)")
    assert len([*rounded_outputs(graph, [np.ones(2, np.float32)], TABLE, SINGLE)]) > 1
    assert [node.op for node in graph.nodes] == ["nn.neg"]
