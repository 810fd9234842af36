"""Small Q/DQ graphs, one for each thing that a network has, with a remainder in FP32 or FP16."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Build = Callable[["Graph"], str | list[str]]


class Graph:
    """Collects nodes and constants; what it reads is `x`, and methods give names of values."""

    def __init__(self, half: bool = False) -> None:
        self.dtype = np.float16 if half else np.float32
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.shape: tuple[int, ...] = (2, 32, 16, 16)

    def fresh(self, hint: str) -> str:
        return f"{hint}_{len(self.nodes) + len(self.constants)}"

    def constant(self, array: object, hint: str = "c") -> str:
        name = self.fresh(hint)
        self.constants[name] = np.asarray(array)
        return name

    def floats(self, *shape: int, value: float = 0.5) -> str:
        return self.constant(np.full(shape, value, self.dtype))

    def ints(self, *numbers: int) -> str:
        return self.constant(np.int64(numbers))

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        name = self.fresh(kind.lower())
        outs = [name, *(f"{name}_{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, inputs, outs, name=name, **attributes))
        return name

    def qdq(self, x: str, scale: float = 0.05) -> str:
        given = [self.constant(self.dtype(scale), "scale"), self.constant(np.int8(0), "zero")]
        return self.op("DequantizeLinear", self.op("QuantizeLinear", x, *given), *given)

    def weight(self, *shape: int, axis: int | None = 0) -> str:
        """INT8 codes behind a DequantizeLinear, with a scale for each entry of an axis."""
        codes = np.random.default_rng(0).integers(-127, 128, shape).astype(np.int8)
        count = () if axis is None else (shape[axis],)
        scale = self.constant(np.full(count, 0.01, self.dtype), "scale")
        zero = self.constant(np.zeros(count, np.int8), "zero")
        along = {} if axis is None else {"axis": axis}
        return self.op("DequantizeLinear", self.constant(codes, "w"), scale, zero, **along)

    def conv(
        self, x: str, c: int = 32, k: int = 32, size: int = 3, groups: int = 1, **attributes: object
    ) -> str:
        """A quantized convolution [k, c / groups, size, size] and its bias."""
        weight = self.weight(k, c // groups, size, size)
        given = {"pads": [size // 2] * 4, "group": groups, **attributes}
        return self.op("Conv", self.qdq(x), weight, self.floats(k), **given)

    def linear(self, x: str, c: int = 64, k: int = 64) -> str:
        """A quantized product with a matrix [c, k], and its bias."""
        product = self.op("MatMul", self.qdq(x), self.weight(c, k, axis=1))
        return self.op("Add", product, self.floats(k))

    def relu(self, x: str) -> str:
        return self.op("Relu", x)

    def heads(self, x: str, heads: int = 4, size: int = 16) -> str:
        view = self.op("Reshape", x, self.ints(0, -1, heads, size))
        return self.op("Transpose", view, perm=[0, 2, 1, 3])

    def model(self, outputs: list[str]) -> onnx.ModelProto:
        kind = TensorProto.FLOAT16 if self.dtype is np.float16 else TensorProto.FLOAT
        inputs = [helper.make_tensor_value_info("x", kind, self.shape)]
        ends = [helper.make_tensor_value_info(name, kind, None) for name in outputs]
        stored = [numpy_helper.from_array(v, k) for k, v in self.constants.items()]
        graph = helper.make_graph(self.nodes, "graph", inputs, ends, stored)
        opsets = [helper.make_opsetid("", 20)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


GRAPHS: dict[str, Build] = {}
SHAPES: dict[str, tuple[int, ...]] = {}


def graph(*shape: int) -> Callable[[Build], Build]:
    """Adds a graph to the catalogue under its name, with the shape of `x`."""

    def added(build: Build) -> Build:
        name = build.__name__.strip("_").replace("_", " ")
        GRAPHS[name], SHAPES[name] = build, shape or (2, 32, 16, 16)
        return build

    return added


def model_of(name: str, half: bool) -> onnx.ModelProto:
    """The graph of that name, with floats of four bytes or of two."""
    made = Graph(half)
    made.shape = SHAPES[name]
    outputs = GRAPHS[name](made)
    return made.model([outputs] if isinstance(outputs, str) else outputs)


# -- convolutions --------------------------------------------------------------------------------


@graph()
def convolutions(g: Graph) -> str:
    return g.relu(g.conv(g.relu(g.conv("x"))))


@graph()
def strides_and_dilations(g: Graph) -> str:
    y = g.relu(g.conv("x", strides=[2, 2]))
    return g.conv(y, dilations=[2, 2], pads=[2] * 4)


@graph()
def one_by_one(g: Graph) -> str:
    return g.relu(g.conv(g.relu(g.conv("x", size=1)), k=64, size=1))


@graph(2, 3, 32, 32)
def stem_and_pool(g: Graph) -> str:
    y = g.relu(g.conv("x", 3, 32, 7, strides=[2, 2]))
    return g.conv(g.op("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))


@graph()
def batch_norm_behind(g: Graph) -> str:
    ones = [g.floats(32) for _ in range(4)]
    return g.conv(g.relu(g.op("BatchNormalization", g.conv("x"), *ones)))


@graph()
def batch_norm_in_front(g: Graph) -> str:
    ones = [g.floats(32) for _ in range(4)]
    return g.conv(g.relu(g.op("BatchNormalization", "x", *ones)))


@graph()
def grouped(g: Graph) -> str:
    return g.relu(g.conv(g.relu(g.conv("x", groups=4)), groups=8))


@graph(2, 24, 16, 16)
def groups_of_six(g: Graph) -> str:
    return g.relu(g.conv("x", 24, 24, groups=4))


@graph()
def depthwise_and_pointwise(g: Graph) -> str:
    return g.relu(g.conv(g.relu(g.conv("x", groups=32)), k=64, size=1))


@graph(2, 5, 16, 16)
def few_channels(g: Graph) -> str:
    return g.relu(g.conv(g.relu(g.conv("x", 5, 7)), 7, 9, 1))


@graph(2, 32, 64)
def one_axis(g: Graph) -> str:
    weight = g.weight(32, 32, 3)
    return g.relu(g.op("Conv", g.qdq("x"), weight, g.floats(32), pads=[1, 1]))


@graph(2, 16, 8, 8, 8)
def three_axes(g: Graph) -> str:
    weight = g.weight(32, 16, 3, 3, 3)
    return g.relu(g.op("Conv", g.qdq("x"), weight, g.floats(32), pads=[1] * 6))


@graph()
def transposed(g: Graph) -> str:
    weight = g.weight(32, 32, 2, 2, axis=1)
    up = g.op("ConvTranspose", g.qdq("x"), weight, g.floats(32), strides=[2, 2])
    return g.conv(g.relu(up))


@graph()
def one_scale_for_a_weight(g: Graph) -> str:
    weight = g.weight(32, 32, 3, 3, axis=None)
    return g.relu(g.op("Conv", g.qdq("x"), weight, g.floats(32), pads=[1] * 4))


@graph()
def float_data(g: Graph) -> str:
    return g.conv(g.relu(g.op("Conv", "x", g.weight(32, 32, 1, 1), g.floats(32))))


@graph()
def float_weight(g: Graph) -> str:
    return g.conv(g.relu(g.op("Conv", g.qdq("x"), g.floats(32, 32, 1, 1), g.floats(32))))


@graph()
def weight_of_floats_and_a_pair(g: Graph) -> str:
    scale = [g.constant(np.full(32, 0.01, g.dtype)), g.constant(np.zeros(32, np.int8))]
    codes = g.op("QuantizeLinear", g.floats(32, 32, 3, 3), *scale, axis=0)
    weight = g.op("DequantizeLinear", codes, *scale, axis=0)
    return g.relu(g.op("Conv", g.qdq("x"), weight, g.floats(32), pads=[1] * 4))


# -- residuals and what joins --------------------------------------------------------------------


@graph()
def residual(g: Graph) -> str:
    first = g.relu(g.conv("x"))
    total = g.relu(g.op("Add", g.conv(g.relu(g.conv(first))), g.qdq(first)))
    return g.conv(total)


@graph()
def residual_with_a_float_skip(g: Graph) -> str:
    first = g.relu(g.conv("x"))
    return g.conv(g.relu(g.op("Add", first, g.conv(g.relu(g.conv(first))))))


@graph()
def downsampled_residual(g: Graph) -> str:
    first = g.relu(g.conv("x"))
    main = g.conv(g.relu(g.conv(first, 32, 64, strides=[2, 2])), 64, 64)
    skip = g.conv(first, 32, 64, 1, strides=[2, 2])
    return g.conv(g.relu(g.op("Add", main, g.qdq(skip))), 64, 64)


@graph()
def residual_with_silu(g: Graph) -> str:
    y = g.conv("x")
    y = g.op("Mul", y, g.op("Sigmoid", y))
    return g.conv(g.op("Add", g.qdq(y), g.qdq("x")))


@graph()
def concat_with_one_scale(g: Graph) -> str:
    first, second = g.relu(g.conv("x")), g.relu(g.conv("x", size=1))
    return g.conv(g.op("Concat", first, second, axis=1), 64)


@graph()
def concat_of_pairs(g: Graph) -> str:
    first, second = g.qdq(g.relu(g.conv("x"))), g.qdq(g.relu(g.conv("x", size=1)), 0.1)
    return g.conv(g.op("Concat", first, second, axis=1), 64)


@graph()
def concat_that_is_an_output_too(g: Graph) -> list[str]:
    joined = g.op("Concat", g.relu(g.conv("x")), "x", axis=1)
    return [g.conv(joined, 64), g.op("Sigmoid", joined)]


@graph()
def split_channels(g: Graph) -> str:
    y = g.relu(g.conv("x", k=64))
    first = g.op("Split", y, g.ints(32, 32), outputs=2, axis=1)
    return g.op("Concat", g.conv(first), g.conv(f"{first}_1"), axis=1)


@graph()
def squeeze_and_excite(g: Graph) -> str:
    y = g.relu(g.conv("x"))
    pooled = g.op("GlobalAveragePool", g.qdq(y))
    gates = g.op("Sigmoid", g.conv(g.relu(g.conv(pooled, 32, 16, 1)), 16, 32, 1))
    return g.conv(g.op("Mul", g.qdq(y), g.qdq(gates, 0.01)))


@graph()
def squeeze_and_excite_in_float(g: Graph) -> str:
    y = g.relu(g.conv("x"))
    gates = g.op("GlobalAveragePool", y)
    gates = g.relu(g.op("Conv", gates, g.floats(8, 32, 1, 1), g.floats(8)))
    gates = g.op("Sigmoid", g.op("Conv", gates, g.floats(32, 8, 1, 1), g.floats(32)))
    return g.conv(g.op("Mul", y, gates))


# -- activations, pools and what moves data ------------------------------------------------------


@graph()
def activations(g: Graph) -> str:
    y = g.op("LeakyRelu", g.conv("x"), alpha=0.1)
    y = g.op("HardSwish", g.conv(y))
    y = g.op("Tanh", g.conv(g.op("Elu", g.conv(y))))
    return g.conv(g.op("Gelu", g.conv(y)))


@graph()
def clip_and_prelu(g: Graph) -> str:
    y = g.op("Clip", g.conv("x"), g.floats(value=0), g.floats(value=6))
    return g.conv(g.op("PRelu", g.conv(y), g.floats(32, 1, 1)))


@graph()
def average_pools(g: Graph) -> str:
    y = g.qdq(g.relu(g.conv("x")))
    return g.conv(g.op("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2]))


@graph()
def global_pool_and_classifier(g: Graph) -> str:
    y = g.op("GlobalAveragePool", g.qdq(g.relu(g.conv("x"))))
    flat = g.op("Flatten", y)
    return g.op("Gemm", g.qdq(flat), g.weight(100, 32), g.floats(100), transB=1)


@graph()
def resize_to_the_nearest(g: Graph) -> str:
    scales = g.constant(np.float32([1, 1, 2, 2]))
    return g.conv(g.op("Resize", g.relu(g.conv("x")), "", scales, mode="nearest"))


@graph()
def resize_between_pixels(g: Graph) -> str:
    scales = g.constant(np.float32([1, 1, 2, 2]))
    return g.conv(g.op("Resize", g.relu(g.conv("x")), "", scales, mode="linear"))


@graph()
def pad_slice_and_pixel_shuffle(g: Graph) -> str:
    y = g.op("Pad", g.relu(g.conv("x")), g.ints(0, 0, 1, 1, 0, 0, 1, 1))
    y = g.op("Slice", g.relu(g.conv(y)), g.ints(2), g.ints(18), g.ints(2))
    return g.conv(g.op("DepthToSpace", g.relu(g.conv(y)), blocksize=2), 8)


@graph()
def pool_read_in_float_too(g: Graph) -> list[str]:
    y = g.op("MaxPool", g.relu(g.conv("x")), kernel_shape=[2, 2], strides=[2, 2])
    return [g.conv(y), g.op("Sigmoid", y)]


@graph()
def two_readers_of_one_pair(g: Graph) -> list[str]:
    pair = g.qdq("x")
    weights = [g.weight(32, 32, 1, 1), g.weight(32, 32, 3, 3)]
    return [g.relu(g.op("Conv", pair, w, g.floats(32))) for w in weights]


@graph()
def quantized_output(g: Graph) -> str:
    return g.qdq(g.relu(g.conv("x")))


@graph()
def instance_norm(g: Graph) -> str:
    y = g.op("InstanceNormalization", g.conv("x"), g.floats(32), g.floats(32))
    return g.conv(g.relu(y))


# -- matrix products -----------------------------------------------------------------------------


@graph(2, 16, 64)
def linears(g: Graph) -> str:
    return g.linear(g.op("Gelu", g.linear("x", 64, 256)), 256, 64)


@graph(32, 64)
def gemms(g: Graph) -> str:
    y = g.relu(g.op("Gemm", g.qdq("x"), g.weight(64, 64), g.floats(64), transB=1))
    return g.op("Gemm", g.qdq(y), g.weight(64, 32, axis=1), g.floats(32))


@graph(1, 64)
def one_row(g: Graph) -> str:
    return g.linear(g.relu(g.linear("x")))


@graph(2, 16, 64)
def narrow_matrices(g: Graph) -> str:
    return g.linear(g.relu(g.linear("x", 64, 8)), 8, 64)


@graph(32, 64)
def a_weight_that_is_transposed(g: Graph) -> str:
    weight = g.op("Transpose", g.weight(48, 64), perm=[1, 0])
    return g.op("Add", g.op("MatMul", g.qdq("x"), weight), g.floats(48))


@graph(2, 16, 64)
def layer_norms(g: Graph) -> str:
    y = g.op("LayerNormalization", "x", g.floats(64), g.floats(64), axis=-1)
    y = g.op("Add", "x", g.linear(g.op("Gelu", g.linear(y, 64, 128)), 128, 64))
    return g.linear(g.op("LayerNormalization", y, g.floats(64), g.floats(64), axis=-1))


@graph()
def convnext(g: Graph) -> str:
    y = g.qdq(g.conv("x", size=7, groups=32))
    y = g.op("Transpose", y, perm=[0, 2, 3, 1])
    y = g.op("LayerNormalization", y, g.floats(32), g.floats(32), axis=-1)
    y = g.linear(g.op("Gelu", g.linear(y, 32, 128)), 128, 32)
    return g.op("Add", "x", g.op("Transpose", y, perm=[0, 3, 1, 2]))


def _attention(g: Graph, q: str, k: str, v: str, pairs: bool) -> str:
    k = g.op("Transpose", k, perm=[0, 1, 3, 2])
    if pairs:
        q, k, v = (g.qdq(a) for a in (q, k, v))
    weights = g.op("Softmax", g.op("MatMul", q, k), axis=-1)
    mixed = g.op("MatMul", g.qdq(weights, 1 / 127) if pairs else weights, v)
    back = g.op("Transpose", mixed, perm=[0, 2, 1, 3])
    return g.linear(g.op("Reshape", back, g.ints(0, 0, 64)))


@graph(2, 32, 64)
def attention(g: Graph) -> str:
    q, k, v = (g.heads(g.linear("x")) for _ in range(3))
    return _attention(g, q, k, v, pairs=False)


@graph(2, 32, 64)
def attention_in_pairs(g: Graph) -> str:
    q, k, v = (g.heads(g.linear("x")) for _ in range(3))
    return _attention(g, q, k, v, pairs=True)


@graph(2, 32, 64)
def attention_of_one_product(g: Graph) -> str:
    first = g.op("Split", g.linear("x", 64, 192), g.ints(64, 64, 64), outputs=3, axis=2)
    q, k, v = (g.heads(part) for part in (first, f"{first}_1", f"{first}_2"))
    return _attention(g, q, k, v, pairs=False)


@graph(2, 32, 64)
def attention_without_heads(g: Graph) -> str:
    q = g.op("Split", g.linear("x", 64, 192), g.ints(64, 64, 64), outputs=3, axis=2)
    scores = g.op("MatMul", q, g.op("Transpose", f"{q}_1", perm=[0, 2, 1]))
    return g.linear(g.op("MatMul", g.op("Softmax", scores, axis=-1), f"{q}_2"))


@graph(2, 32, 64)
def gated_linear_unit(g: Graph) -> str:
    first = g.op("Split", g.linear("x", 64, 256), g.ints(128, 128), outputs=2, axis=2)
    gate = g.op("Mul", f"{first}_1", g.op("Sigmoid", f"{first}_1"))
    return g.linear(g.op("Mul", first, gate), 128, 64)


@graph(2, 32, 64)
def mixer(g: Graph) -> str:
    y = g.op("Transpose", "x", perm=[0, 2, 1])
    y = g.op("Transpose", g.linear(g.op("Gelu", g.linear(y, 32, 64)), 64, 32), perm=[0, 2, 1])
    return g.linear(g.op("Add", "x", y))


@graph()
def patches(g: Graph) -> str:
    y = g.conv("x", 32, 64, 4, strides=[4, 4], pads=[0] * 4)
    y = g.op("Transpose", g.op("Reshape", y, g.ints(0, 64, -1)), perm=[0, 2, 1])
    return g.linear(g.op("Add", y, g.floats(1, 16, 64)))
