"""The samples in a batch of a graph's inputs."""

import numpy as np
import pytest

from sparqc.ir.graph import Graph, TensorType
from sparqc.ir.samples import first_samples

BATCH = [np.zeros((5, 3)), np.zeros((5,))]


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        (("batch", 3), ("batch",), 2),
        (("batch", 3), ("other",), 5),  # which one is the batch?
        (("batch", 3), (), 5),
        ((5, 3), (5,), 5),
    ],
)
def test_a_batch_is_cut_where_all_inputs_have_it(first, second, left):
    graph = Graph("onnx")
    graph.add_input("x", TensorType("f32", first))
    graph.add_input("y", TensorType("f32", second))
    assert [len(array) for array in first_samples(BATCH, graph.inputs)] == [left, left]
