"""Running ONNX graphs: outputs, values inside, and errors."""

import numpy as np
import pytest

from sparqc.errors import SparqcError
from sparqc.ir.graph import TensorType
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.adapter import write_onnx
from sparqc.ir.onnx.run import default_threads
from sparqc.ir.text.print import parse_statements
from sparqc.ir.vocabulary.table import default_table

TABLE = default_table()
X = np.float32([[1, -2, 3, -4], [0, 1, 0, -1]])


def graph():
    """A linear layer with a weight large enough to be shared, between two activations."""
    return parse_statements(
        """
        x: f32[batch, 4]
        w: const f32[128, 4]
        v: const f32[2, 128]
        h = nn.relu(nn.linear(x, w))
        y = nn.linear(h, v)
        """,
        TABLE,
        "onnx",
    )


def expected(g, x=X):
    w, v = g.value("w").data, g.value("v").data
    return np.maximum(x @ w.T, 0) @ v.T


@pytest.mark.parametrize("optimize", ["none", "basic", "all"])
def test_outputs(optimize):
    g = graph()
    (y,), observed = open_runner(g, TABLE, optimize=optimize).run([X])
    assert np.allclose(y, expected(g), rtol=1e-5)
    assert observed == []


def test_any_batch_size():
    g = graph()
    runner = open_runner(g, TABLE)
    for count in (1, 2, 7):
        (y,), _ = runner.run([np.ones((count, 4), np.float32)])
        assert y.shape == (count, 2)


def test_values_inside_can_be_observed():
    g = graph()
    values = [g.value("h"), g.value("x"), g.value("w"), g.value("y"), g.value("h")]
    (y,), (h, x, w, again, twice) = open_runner(g, TABLE).run([X], values)
    assert np.allclose(h, np.maximum(X @ w.T, 0), rtol=1e-5)
    assert np.array_equal(x, X)
    assert w is g.value("w").data
    assert np.array_equal(again, y)
    assert np.array_equal(twice, h)


def test_observing_does_not_change_the_outputs():
    g = graph()
    runner = open_runner(g, TABLE)
    (plain,), _ = runner.run([X])
    (watched,), _ = runner.run([X], [g.value("h")])
    (after,), _ = runner.run([X])
    assert np.array_equal(plain, watched)
    assert np.array_equal(plain, after)


def test_a_written_model_is_run_as_it_is():
    g = graph()
    model = write_onnx(g, TABLE)
    model.graph.node[-1].input[0] = "x"  # a change that the graph knows nothing of
    for node in model.graph.node:
        if node.op_type == "Relu":
            node.op_type = "Neg"
    del model.graph.initializer[-1]
    model.graph.initializer.add(name="v", data_type=1, dims=[2, 4]).float_data.extend([1.0] * 8)
    (y,), _ = open_runner(g, TABLE, model=model).run([X])
    assert np.allclose(y, X @ np.ones((4, 2)))


def test_a_quantizer_without_a_scale_passes_its_input():
    g = parse_statements(
        "x: f32[2, 4]\ns: const f32[] = nan\nq = q.qdq(x, s)\ny = nn.neg(q)", TABLE, "onnx"
    )
    (y,), (q,) = open_runner(g, TABLE).run([X], [g.value("q")])
    assert np.array_equal(q, X)
    assert np.array_equal(y, -X)


def test_a_quantizer_rounds_half_to_even_and_saturates():
    g = parse_statements("x: f32[6]\ns: const f32[] = 2.0\ny = q.qdq(x, s)", TABLE, "onnx")
    x = np.float32([1, 3, -1, -3, 300, -300])
    (y,), _ = open_runner(g, TABLE).run([x])
    assert y.tolist() == [0, 4, 0, -4, 254, -256]


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ([], "the graph has 1 inputs, but got 0 arrays"),
        ([X.astype(np.float64)], "input 'x' takes f32, but got float64"),
        ([X[:, :2]], "invalid dimensions for input: x"),
        ([X[0]], "x"),
    ],
)
def test_arrays_that_do_not_fit(batch, words):
    with pytest.raises(SparqcError) as caught:
        open_runner(graph(), TABLE).run(batch)
    assert words in caught.value.message


def test_a_node_that_fails_is_named():
    g = parse_statements(
        "x: f32[n, m]\nw: const f32[3, 3]\nproduct = nn.matmul(x, w)", TABLE, "onnx"
    )
    with pytest.raises(SparqcError, match="product"):
        open_runner(g, TABLE).run([X])


def test_a_graph_that_onnxruntime_does_not_take_is_named():
    g = parse_statements("x: f32[2]\ny = onnx.my.domain.Up(x)", TABLE, "onnx")
    with pytest.raises(SparqcError, match=r"my\.domain"):
        open_runner(g, TABLE).run([np.float32([1, 2])])


def test_threads_follow_torch():
    import torch

    assert default_threads() == torch.get_num_threads()


def test_the_type_of_an_output_may_be_unknown():
    g = parse_statements("x: f32[2]\ny = nn.relu(x)", TABLE, "onnx")
    g.value("y").type = TensorType()
    (y,), _ = open_runner(g, TABLE).run([np.float32([-1, 2])])
    assert y.tolist() == [0, 2]
