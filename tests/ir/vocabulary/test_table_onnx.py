"""ONNX forms in particular: weights in front of a MatMul, old opsets, what exporters write."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph, TensorType
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.levels.infer import infer_types
from sparqc.ir.onnx.adapter import read_onnx, write_onnx
from sparqc.ir.onnx.native import OnnxNative
from sparqc.ir.vocabulary.table import default_table

TABLE = default_table()


# -- the weight of a linear layer ---------------------------------------------------------------


class Weights:
    """A graph with a linear layer on [2, 3, 6] whose weight [4, 6] comes through some operators."""

    def __init__(self, opset=18):
        rng = np.random.default_rng(0)
        self.graph = Graph("onnx", native=OnnxNative({"": opset}))
        self.x = self.graph.add_input("x", TensorType("f32", ("batch", 3, 6)))
        self.w = rng.standard_normal((4, 6)).astype(np.float32)
        self.w[0, 0] = -5  # below what the scale covers
        self.scale = (np.abs(self.w[:, 1:]).max(1) / 127).astype(np.float32)
        self.feed = rng.standard_normal((2, 3, 6)).astype(np.float32)

    def add(self, op, operands, **attributes):
        node = self.graph.create(op, operands, {**TABLE.require(op).attributes, **attributes})
        infer_types(self.graph, node, TABLE)
        return node.output

    def finish(self, weight):
        bias = self.graph.constant(np.arange(4, dtype=np.float32), "bias")
        y = self.add("nn.linear", {"x": self.x, "w": weight, "b": bias})
        self.graph.set_outputs([y], ["y"])
        return write_onnx(self.graph, TABLE)

    def expected(self, weight):
        return self.feed @ weight.T + np.arange(4, dtype=np.float32)


def run(model, feed):
    options = ort.SessionOptions()
    # Optimized, onnxruntime quantizes the data in front of integer weights as well.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"x": feed})[0]


def nodes(model):
    return [node.op_type for node in model.graph.node]


@pytest.fixture
def weights():
    return Weights()


def test_a_constant_weight_is_stored_transposed(weights):
    model = weights.finish(weights.graph.constant(weights.w, "w"))
    assert nodes(model) == ["MatMul", "Add"]
    shapes = {tuple(i.dims) for i in model.graph.initializer}
    assert shapes == {(6, 4), (4,)}
    np.testing.assert_allclose(run(model, weights.feed), weights.expected(weights.w), rtol=1e-5)


def quantized(weights, low=-127):
    """The weight after fake quantization, in numpy."""
    codes = np.clip(np.rint(weights.w / weights.scale[:, None]), low, 127)
    return codes * weights.scale[:, None]


def test_a_quantized_weight_is_transposed_in_front_of_its_quantizer(weights):
    w, scale = weights.graph.constant(weights.w, "w"), weights.graph.constant(weights.scale, "s")
    q = weights.add("q.qdq", {"x": w, "scale": scale, "zero_point": None}, axis=0, low=-127)
    model = weights.finish(q)
    assert nodes(model) == ["QuantizeLinear", "DequantizeLinear", "MatMul", "Add"]
    for node in model.graph.node[:2]:
        assert [a.i for a in node.attribute if a.name == "axis"] == [1]
    np.testing.assert_allclose(run(model, weights.feed), weights.expected(quantized(weights)), 1e-5)


def test_a_masked_and_quantized_weight_ends_at_an_initializer(weights):
    mask = np.tile(np.array([1, 0, 0, 1, 1, 0], bool), (4, 1))
    constant = weights.graph.constant
    masked = weights.add("sparse.mask", {"w": constant(weights.w), "mask": constant(mask)})
    operands = {"x": masked, "scale": constant(weights.scale), "zero_point": None}
    model = weights.finish(weights.add("q.qdq", operands, axis=0, low=-127))
    assert nodes(model) == ["QuantizeLinear", "DequantizeLinear", "MatMul", "Add"]
    stored = next(i for i in model.graph.initializer if tuple(i.dims) == (6, 4))
    assert not numpy_helper.to_array(stored)[~mask.T].any()
    expected = weights.expected(quantized(weights) * mask)
    np.testing.assert_allclose(run(model, weights.feed), expected, rtol=1e-5)


def test_integer_weights_are_transposed_too(weights):
    codes = np.clip(np.rint(weights.w / weights.scale[:, None]), -127, 127).astype(np.int8)
    w, scale = weights.graph.constant(codes, "w"), weights.graph.constant(weights.scale, "s")
    dq = weights.add("q.dequantize", {"x": w, "scale": scale, "zero_point": None}, axis=0)
    model = weights.finish(dq)
    assert nodes(model) == ["DequantizeLinear", "MatMul", "Add"]
    np.testing.assert_allclose(run(model, weights.feed), weights.expected(quantized(weights)), 1e-5)


def test_a_matrix_takes_a_gemm():
    weights = Weights()
    weights.x.type = TensorType("f32", ("batch", 6))
    model = weights.finish(weights.graph.constant(weights.w, "w"))
    assert nodes(model) == ["Gemm"]
    assert [n.op for n in read_onnx(model, TABLE).nodes] == ["nn.linear"]


# -- quantizers ---------------------------------------------------------------------------------


def test_a_range_without_an_integer_type_is_an_error(weights):
    w, scale = weights.graph.constant(weights.w, "w"), weights.graph.constant(weights.scale, "s")
    operands = {"x": w, "scale": scale, "zero_point": None}
    weights.graph.create("q.qdq", operands, {"axis": 0, "low": -3, "high": 5})
    with pytest.raises(SparqcError, match=r"no ONNX integer type saturates at -3..5"):
        write_onnx(weights.graph, TABLE)


def test_activations_below_the_range_are_clipped_first(weights):
    scale = weights.graph.constant(np.float32(0.01), "s")
    operands = {"x": weights.x, "scale": scale, "zero_point": None}
    q = weights.add("q.qdq", operands, low=-127)
    weights.graph.set_outputs([q], ["y"])
    assert run(write_onnx(weights.graph, TABLE), weights.feed).min() == np.float32(-127 * 0.01)


def test_a_zero_point_of_zeros_says_nothing():
    text = """<ir_version: 8, opset_import: ["": 13]> g (float[2, 3] x) => (float[2, 3] y)
      <float s = {0.5}, int8 z = {0}> { q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, s, z) }
    """
    quantize, dequantize = read_onnx(onnx.parser.parse_model(text), TABLE).nodes
    assert quantize.operands["zero_point"] is None and quantize.attributes["to"] == "i8"
    assert dequantize.operands["zero_point"] is None and dequantize.attributes["axis"] is None


# -- old opsets ---------------------------------------------------------------------------------


def old_model(opset, body, shape=(2, 4, 6), constants=()):
    """A model in onnx's text form, with x f32 of that shape and an output of unknown shape."""
    sizes = ", ".join(map(str, shape))
    text = (
        f'<ir_version: 7, opset_import: ["": {opset}]> g (float[{sizes}] x) => (float y) {{{body}}}'
    )
    model = onnx.parser.parse_model(text)
    for name, array in constants:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(model)


ONES = np.ones(4, np.float32)
OLD = {
    "Clip with attributes": (6, "y = Clip<min = -0.5, max = 0.5>(x)", "nn.clip", ()),
    "Clip with one attribute": (6, "y = Clip<min = -0.5>(x)", "nn.clip", ()),
    "ReduceMean with an attribute": (
        13, "y = ReduceMean<axes = [-1], keepdims = 0>(x)", "nn.reduce_mean", ()),
    "ReduceSum of everything": (11, "y = ReduceSum(x)", "nn.reduce_sum", ()),
    "Split with an attribute": (
        11, "y, z = Split<axis = 1, split = [1, 3]>(x)", "nn.split", ()),
    "Split in equal parts": (18, "y, z = Split<axis = 2, num_outputs = 2>(x)", "nn.split", ()),
    "Pad with an attribute": (2, "y = Pad<pads = [0, 0, 1, 0, 0, 2]>(x)", "nn.pad", ()),
    "Pad of some axes": (
        18, "y = Pad(x, p, , a)", "nn.pad", (("p", np.array([1, 2])), ("a", np.array([-1])))),
    "Unsqueeze with an attribute": (11, "y = Unsqueeze<axes = [-1]>(x)", "nn.unsqueeze", ()),
    "Slice with attributes": (
        9, "y = Slice<axes = [2], starts = [-3], ends = [100]>(x)", "nn.slice", ()),
    "Softmax along the last axis": (11, "y = Softmax<axis = 2>(x)", "nn.softmax", ()),
    "BatchNormalization": (
        9, "y = BatchNormalization(x, o, o, o, o)", "nn.batch_norm", (("o", ONES),)),
    "Dropout": (10, "y = Dropout<ratio = 0.5>(x)", "nn.identity", ()),
    "Reshape with zeros": (13, "y = Reshape(x, s)", "nn.reshape", (("s", np.array([0, -1])),)),
    "Gemm without a bias": (
        11, "f = Flatten(x)  y = Gemm<transB = 1>(f, w)", "nn.linear",
        (("w", np.ones((5, 24), np.float32)),)),
    "Gemm with a factor": (
        11, "f = Flatten(x)  y = Gemm<alpha = 0.5>(f, w)", "nn.gemm",
        (("w", np.ones((24, 5), np.float32)),)),
    "Conv with SAME_UPPER": (
        11, 'y = Conv<auto_pad = "SAME_UPPER">(x, w)', "nn.conv",
        (("w", np.ones((3, 4, 4), np.float32)),)),
}  # fmt: skip


@pytest.mark.parametrize(("opset", "body", "op", "constants"), OLD.values(), ids=OLD)
def test_old_spellings_are_read(opset, body, op, constants):
    model = old_model(opset, body, constants=constants)
    graph = read_onnx(model, TABLE)
    assert list(graph.nodes)[-1].op == op
    feed = np.random.default_rng(0).standard_normal((2, 4, 6)).astype(np.float32)
    outputs = open_runner(graph, TABLE).run([feed])[0]
    np.testing.assert_allclose(outputs[0], run(model, feed), rtol=1e-5, atol=1e-6)


UNSUPPORTED = {
    "indices of a pool": "z, i = MaxPool<kernel_shape = [2]>(x)  y = Cast<to = 1>(i)",
    "a resize by computed sizes": "s = Shape(x)  y = Resize(x, , , s)",
    "training": "y, m, v = BatchNormalization<training_mode = 1>(x, o, o, o, o)",
}


@pytest.mark.parametrize("body", UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_what_the_vocabulary_does_not_have_stays_raw(body):
    graph = read_onnx(old_model(18, body, constants=(("o", ONES),)), TABLE)
    assert any(node.op.startswith("onnx.") for node in graph.nodes)


# -- real exporters -----------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, padding=1), nn.BatchNorm2d(8), nn.SiLU())
        self.up = nn.Sequential(nn.Upsample(scale_factor=2), nn.Hardswish(), nn.GroupNorm(2, 8))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 5)
        self.act = nn.GELU()

    def forward(self, x):
        y = self.up(torch.relu(self.stem(x)).clamp(max=6))
        a, b = y.chunk(2, 1)
        y = torch.cat([b, a], 1)
        tokens = self.norm(y.flatten(2).transpose(1, 2))
        return self.act(self.head(tokens)).mean(1).softmax(-1)


@pytest.mark.parametrize("opset", [18, 20])
def test_what_torch_exports_is_read(opset):
    net, x = Net().eval(), torch.randn(2, 3, 8, 8)
    program = torch.onnx.export(net, (x,), dynamo=True, opset_version=opset, verbose=False)
    graph = read_onnx(program.model_proto, TABLE)
    raw = {node.op for node in graph.nodes if node.op not in TABLE.names}
    assert not raw
    actual = open_runner(graph, TABLE).run([x.numpy()])[0][0]
    np.testing.assert_allclose(actual, net(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_shapes_computed_as_old_exporters_do_are_read():
    """Reshape to a shape that is put together from Shape, Gather and Concat."""
    body = "s = Shape(x)  n = Gather(s, i)  a = Unsqueeze(n, z)  t = Concat<axis = 0>(a, m)  "
    constants = (("i", np.array(0)), ("z", np.array([0])), ("m", np.array([-1])))
    graph = read_onnx(old_model(13, body + "y = Reshape(x, t)", constants=constants), TABLE)
    assert list(graph.nodes)[-1].op == "nn.reshape"
