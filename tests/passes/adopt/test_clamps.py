"""Asymmetric Q/DQ files, whose quantizers stand for activations that the other tool deleted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from torch import Tensor, nn

import sparqc
from sparqc.ir.graph import Array
from sparqc.passes.adopt.adopted import Adoption
from sparqc.tools.check.checked import Asked, check_proto
from sparqc.tools.check.fix import fix

WIDTH = 16
Nodes = list[NodeProto]


def batches(count: int = 4) -> list[list[Array]]:
    return [
        [np.random.default_rng(seed).standard_normal((4, WIDTH, 12, 12)).astype(np.float32)]
        for seed in range(count)
    ]


def conv(x: str, y: str) -> NodeProto:
    return helper.make_node("Conv", [x, f"{y}.w"], [y], name=y, pads=[1, 1, 1, 1])


def op(kind: str, x: str, y: str, *more: str) -> NodeProto:
    return helper.make_node(kind, [x, *more], [y], name=y)


def chain(activation: Callable[[str, str], NodeProto]) -> Nodes:
    return [
        conv("x", "a"), activation("a", "b"), conv("b", "c"), activation("c", "d"), conv("d", "y"),
    ]  # fmt: skip


def relu(x: str, y: str) -> NodeProto:
    return op("Relu", x, y)


NETWORKS: dict[str, Nodes] = {
    "relu": chain(relu),
    "relu6": chain(lambda x, y: op("Clip", x, y, "zero", "six")),
    "below zero": chain(lambda x, y: op("Clip", x, y, "minus", "zero")),
    "leaky": chain(lambda x, y: helper.make_node("LeakyRelu", [x], [y], name=y, alpha=0.1)),
    "none": [conv("x", "a"), conv("a", "y")],
    "residual": [
        conv("x", "a"), relu("a", "b"), conv("b", "c"), relu("c", "d"), conv("d", "e"),
        op("Add", "e", "f", "b"), relu("f", "g"), conv("g", "y"),
    ],
    "pooled": [
        conv("x", "a"), relu("a", "b"),
        helper.make_node("MaxPool", ["b"], ["p"], name="p", kernel_shape=[2, 2], strides=[2, 2]),
        conv("p", "c"), relu("c", "y"),
    ],
}  # fmt: skip
WAYS: dict[str, dict[str, object]] = {
    "uint8": {"activation_type": QuantType.QUInt8},
    "int8": {"activation_type": QuantType.QInt8},
    "per channel": {"activation_type": QuantType.QUInt8, "per_channel": True},
    "uint8 weights": {
        "activation_type": QuantType.QUInt8,
        "weight_type": QuantType.QUInt8,
        "extra_options": {"WeightSymmetric": False},
    },
}


def model(nodes: Nodes) -> ModelProto:
    rng = np.random.default_rng(9)
    constants = {"zero": np.float32(0), "six": np.float32(6), "minus": np.float32(-9)}
    for node in nodes:
        if node.op_type == "Conv":
            w = rng.standard_normal((WIDTH, WIDTH, 3, 3)) / 6
            constants[node.input[1]] = w.astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return onnx.shape_inference.infer_shapes(made)


class Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self.left = [{"x": x} for (x,) in batches()]

    def get_next(self) -> dict[str, Array] | None:
        return self.left.pop() if self.left else None


def quantized(made: ModelProto, folder: Path, way: str) -> ModelProto:
    onnx.save(made, folder / "float.onnx")
    quantize_static(folder / "float.onnx", folder / "quantized.onnx", Reader(), **WAYS[way])
    return onnx.load(folder / "quantized.onnx")


def answer(made: ModelProto, x: Array) -> Array:
    session = onnxruntime.InferenceSession(made.SerializeToString())
    found: Array = session.run(None, {"x": x})[0]
    return found


def snr_db(made: ModelProto, reference: ModelProto) -> float:
    (x,) = batches(5)[-1]
    expected = answer(reference, x)
    error = answer(made, x) - expected
    return float(10 * np.log10(np.square(expected).sum() / np.square(error).sum()))


def kinds(made: ModelProto) -> list[str]:
    return [node.op_type for node in made.graph.node if "Linear" not in node.op_type]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("calibrated", [False, True])
def test_the_answers_are_as_good_as_the_tool_s_own(
    name: str, way: str, calibrated: bool, tmp_path: Path
) -> None:
    """Or as good as INT8 from the float model: of a Relu that has half of the codes of uint8."""
    plain = model(NETWORKS[name])
    given = quantized(plain, tmp_path, way)
    data = batches if calibrated else None
    done = sparqc.compile(given, passes="int8", calibration=data, float="fp32")
    own = sparqc.compile(plain, passes="int8", calibration=batches, float="fp32")
    assert snr_db(done.model, plain) > min(snr_db(given, plain), snr_db(own.model, plain)) - 1
    assert kinds(done.model) == kinds(plain)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_cure_of_zero_points_keeps_the_activations(name: str, way: str, tmp_path: Path) -> None:
    """`check --fix` has to leave the outputs quantized, and half of the codes of a Relu unused."""
    plain = model(NETWORKS[name])
    given = quantized(plain, tmp_path, way)
    before = check_proto(given, Asked("tensorrt-11"))
    fixed = fix(before)
    assert {f.id for f in before.findings if f.grade == "error"} & set(fixed.cured)
    assert not [f for f in fixed.checked.findings if f.grade == "error"]
    assert snr_db(fixed.checked.model, plain) > snr_db(given, plain) - 4
    assert kinds(fixed.checked.model) == kinds(plain)


# -- single quantizers ---------------------------------------------------------------------------


def with_pair(
    zero: int, dtype: type = np.uint8, scale: float = 0.02, skip: bool = False, first: int = 0
) -> ModelProto:
    """Q/DQ -> Conv -> Q/DQ -> Conv, without an activation; the first zero point is `first`.

    `skip`: the second result is added to what the same codes stand for.
    """
    w = np.random.default_rng(3).standard_normal((WIDTH, WIDTH, 3, 3)).astype(np.float32) / 6
    constants = {
        "sx": np.float32(0.04), "zx": np.int8(first), "s": np.float32(scale), "z": dtype(zero),
        "w": np.rint(w / 0.005).clip(-127, 127).astype(np.int8), "sw": np.float32(0.005),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["qx"]),
        helper.make_node("DequantizeLinear", ["qx", "sx", "zx"], ["dx"]),
        helper.make_node("DequantizeLinear", ["w", "sw"], ["w_dq"]),
        helper.make_node("Conv", ["dx", "w_dq"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["a", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Conv", ["d", "w_dq"], ["c"], pads=[1, 1, 1, 1]),
        op("Add", "c", "y", "d") if skip else op("Identity", "c", "y"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    opset = 21 if dtype is np.uint16 else 17
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return onnx.shape_inference.infer_shapes(made)


def clamps(made: ModelProto) -> list[tuple[str, list[float]]]:
    """The activations of a model, with the numbers that they read."""
    known = {i.name: numpy_helper.to_array(i) for i in made.graph.initializer}
    known |= {
        n.output[0]: numpy_helper.to_array(n.attribute[0].t)
        for n in made.graph.node
        if n.op_type == "Constant"
    }
    return [
        (n.op_type, [float(known[i]) for i in n.input[1:] if i])
        for n in made.graph.node
        if n.op_type in ("Relu", "Clip")
    ]


@pytest.mark.parametrize(
    ("zero", "dtype", "scale", "expected"),
    [
        (0, np.uint8, 0.02, [("Relu", [])]),
        (-128, np.int8, 0.02, [("Relu", [])]),
        (0, np.uint8, 6 / 255, [("Clip", [0.0, 6.0])]),
        (0, np.uint16, 1e-4, [("Relu", [])]),  # no range for INT8, and an activation all the same
        (255, np.uint8, 0.02, [("Clip", [0.0])]),
        (127, np.int8, 0.02, [("Clip", [0.0])]),
        (128, np.uint8, 0.05, []),
        (0, np.int8, 0.05, []),
        (100, np.uint8, 0.06, []),  # both ends inside: nothing to add
        (7, np.int8, 0.06, []),
    ],
)
@pytest.mark.parametrize("skip", [False, True])
def test_what_a_zero_point_stands_for(
    zero: int,
    dtype: type,
    scale: float,
    expected: list[tuple[str, list[float]]],
    skip: bool,
) -> None:
    given = with_pair(zero, dtype, scale, skip)
    data = batches if dtype is np.uint16 else None
    done = sparqc.compile(given, passes="int8", calibration=data)
    assert clamps(done.model) == expected  # one, though the skip reads it too
    (x,) = batches()[0]
    wanted, found = answer(given, x), answer(done.model, x)
    assert np.abs(found - wanted).mean() < 0.03 * np.abs(wanted).mean()
    notes = done.context.facts[Adoption].notes
    assert any("stood for a Relu or Clip" in note for note in notes) == bool(expected)


@pytest.mark.parametrize(
    ("kinds", "clamped"),
    [
        (["Exp"], False), (["Abs"], False), (["Sqrt"], False), (["Neg"], True),
        (["Relu", "CumSum"], True), (["Relu", "Tile"], False),
        (["Relu", "Neg"], True), (["Sigmoid", "Sub"], True), (["Relu", "LeakyRelu"], True),
    ],
)  # fmt: skip
def test_nothing_is_clamped_that_has_no_numbers_below_zero(kinds: list[str], clamped: bool) -> None:
    given = with_pair(0)
    quantize = next(n for n in given.graph.node if n.output[0] == "q")
    at, value = list(given.graph.node).index(quantize), "a"
    more = {"CumSum": ["last"], "Tile": ["once"], "Sub": ["half"]}
    constants = {"last": np.int64(3), "once": np.ones(4, np.int64), "half": np.float32(0.5)}
    for name, array in constants.items():
        given.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    for kind in kinds:
        node = op(kind, value, f"{value}.{kind}", *more.get(kind, []))
        given.graph.node.insert(at, node)
        at, value = at + 1, node.output[0]
    quantize.input[0] = value
    done = sparqc.compile(onnx.shape_inference.infer_shapes(given), passes="adopt")
    before = sum(kind in ("Relu", "Clip") for kind in kinds)
    assert len(clamps(done.model)) == before + clamped


def test_an_input_of_the_model_is_not_clamped() -> None:
    """No tool deletes what reads an input, whose range is that of images."""
    given = with_pair(128, scale=0.05, first=-128)
    assert clamps(sparqc.compile(given, passes="int8").model) == []


def test_a_value_that_is_read_in_float_too_stays_as_it_is() -> None:
    given = with_pair(0)
    given.graph.output.append(helper.make_tensor_value_info("t", TensorProto.FLOAT, None))
    given.graph.node.append(op("Tanh", "a", "t"))
    done = sparqc.compile(onnx.shape_inference.infer_shapes(given), passes="int8")
    (x,) = batches()[0]
    session = onnxruntime.InferenceSession(done.model.SerializeToString())
    assert session.run(["t"], {"x": x})[0].min() < -0.9


def test_a_scale_of_its_own_for_each_fake_quantizer_of_a_module() -> None:
    """The same in PyTorch: two quantizers of one value, both with their zero point at an end."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.b, self.c = (nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            y = self.a(x)
            first = torch.fake_quantize_per_tensor_affine(y, 0.01, 0, 0, 255)
            other = torch.fake_quantize_per_tensor_affine(y, 0.012, 0, 0, 255)
            out: Tensor = self.b(first) + self.c(other)
            return out

    net, (x,) = Net().eval(), batches()[0]
    done = sparqc.compile(net, (torch.from_numpy(x),), passes="int8", calibration=lambda: batches())
    assert clamps(done.model) == [("Relu", [])]
    (name,) = (i.name for i in done.model.graph.input)
    session = onnxruntime.InferenceSession(done.model.SerializeToString())
    wanted = net(torch.from_numpy(x)).detach().numpy()
    error = session.run(None, {name: x})[0] - wanted
    assert np.square(error).sum() < 1e-3 * np.square(wanted).sum()
