"""ONNX's own spellings of what third-party models use: old and new opsets, computed operands."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.adapter import read_onnx, write_onnx
from sparqc.ir.vocabulary.table import default_table
from tests.ir.instances import graph_of, run

TABLE = default_table()
#: The rows with forms that opsets between the oldest and the newest write differently, or may.
NAMES = (
    "nn.tile", "nn.tile_by", "nn.constant_of_shape", "nn.full", "nn.full_like", "nn.range",
    "nn.cumsum", "nn.argmin", "nn.max_with_index", "nn.min_with_index", "nn.topk",
    "nn.gather_elements", "nn.index", "nn.var", "nn.std", "nn.var_mean", "nn.std_mean", "nn.glu",
    "nn.baddbmm", "nn.addbmm", "nn.reshape_as", "nn.meshgrid", "nn.index_copy",
)  # fmt: skip


@pytest.mark.parametrize("opset", range(13, 25))
def test_every_opset_that_targets_read_gives_the_same(opset):
    for name in NAMES:
        row = TABLE.require(name)
        sample = row.sample(np.random.default_rng([opset, *name.encode()]))
        fx, feeds = graph_of(row, sample, "fx", TABLE)
        graph, _ = graph_of(row, sample, "onnx", TABLE, opset)
        if all(value.shape is not None for value in graph.outputs):  # a file has to state them
            onnx.checker.check_model(write_onnx(graph, TABLE), full_check=True)
        for expected, actual in zip(run(fx, feeds, TABLE), run(graph, feeds, TABLE), strict=True):
            assert expected.dtype == actual.dtype
            np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5)


X = np.random.default_rng(0).standard_normal((2, 4, 6)).astype(np.float32)


def model_of(body, constants=(), opset=18):
    text = f'<ir_version: 8, opset_import: ["": {opset}]> g (float[n, 4, 6] x) => (y) {{{body}}}'
    model = onnx.parser.parse_model(text)
    for name, array in constants:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return onnx.shape_inference.infer_shapes(model)


TWO = ("n", np.array([1, 2, 1]))
READ = {
    "Tile": ("y = Tile(x, n)", "nn.tile", (TWO,)),
    "Tile by computed numbers": (
        "s = Shape(x)  y = Tile(x, s)", "nn.tile", ()),
    "ConstantOfShape": ("s = Shape(x)  y = ConstantOfShape(s)", "nn.constant_of_shape", ()),
    "ConstantOfShape of integers": (
        "s = Shape(x)  y = ConstantOfShape<value = int64[1] {7}>(s)", "nn.constant_of_shape", ()),
    "Range of a computed limit": (
        "s = Shape(x)  l = Gather(s, i)  y = Range(a, l, b)", "nn.range",
        (("i", np.array(1)), ("a", np.array(0)), ("b", np.array(1)))),
    "Range of floats": (
        "m = ReduceMax<keepdims = 0>(x)  y = Range(a, m, b)", "nn.range",
        (("a", np.float32(-1)), ("b", np.float32(0.25)))),
    "CumSum": ("y = CumSum(x, a)", "nn.cumsum", (("a", np.array(-1)),)),
    "CumSum from the end": (
        "y = CumSum<exclusive = 1, reverse = 1>(x, a)", "nn.cumsum",
        (("a", np.array([1], np.int32)),)),
    "TopK": (
        "v, y = TopK<axis = -2, largest = 0>(x, k)", "nn.topk", (("k", np.array([3])),)),
    "TopK of a computed number": (
        "s = Shape<start = 1, end = 2>(x)  y, i = TopK<axis = 1>(x, s)", "nn.topk", ()),
    "GatherElements": (
        "y = GatherElements<axis = -1>(x, i)", "nn.gather_elements",
        (("i", np.array([[[0, -1]], [[2, 1]]], np.int32)),)),
    "GatherND": (
        "y = GatherND(x, i)", "nn.gather_nd", (("i", np.array([[0, 1], [1, -1]])),)),
    "GatherND in batches": (
        "y = GatherND<batch_dims = 1>(x, i)", "nn.gather_nd", (("i", np.array([[0, 1], [3, 2]])),)),
    "ScatterElements": (
        "y = ScatterElements<axis = -1>(x, i, u)", "nn.scatter_elements",
        (("i", np.array([[[0, -1]], [[2, 1]]])), ("u", np.ones((2, 1, 2), np.float32)))),
    "ScatterElements that adds": (
        'y = ScatterElements<axis = 1, reduction = "add">(x, i, x)', "nn.scatter_elements",
        (("i", np.random.default_rng(1).integers(0, 4, (2, 4, 6))),)),
    "ArgMin": ("y = ArgMin<axis = -1>(x)", "nn.argmin", ()),
}  # fmt: skip


@pytest.mark.parametrize(("body", "op", "constants"), READ.values(), ids=READ)
def test_what_onnx_has_is_in_the_table(body, op, constants):
    model = model_of(body, constants)
    graph = read_onnx(model, TABLE)
    assert list(graph.nodes)[-1].op == op
    expected = ort.InferenceSession(model.SerializeToString()).run(["y"], {"x": X})[0]
    np.testing.assert_array_equal(open_runner(graph, TABLE).run([X])[0][0], expected)


RAW = {
    "the last of the largest": "y = ArgMax<select_last_index = 1>(x)",
    "an axis that is computed": "s = Shape(x)  l = Size(s)  a = Sub(l, l)  y = CumSum(x, a)",
}


@pytest.mark.parametrize("body", RAW.values(), ids=RAW)
def test_what_a_row_cannot_say_stays_raw(body):
    graph = read_onnx(model_of(body), TABLE)
    assert list(graph.nodes)[-1].op.startswith("onnx.")
