"""The predicted INT8 set is that of TensorRT-RTX, on networks of sparqc's and of others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn

import sparqc
from sparqc.errors import SparqcError, UsageError
from sparqc.tools.engine.rtx import compile_rtx
from sparqc.tools.explain.prediction import predict
from tests.engine_models import Net, float_conv, quantized_conv, quantized_matmul, residual_block

RTX = "tensorrt-rtx"


def agreed(model: onnx.ModelProto | Path) -> set[str]:
    """The weighted nodes in INT8, where prediction and compiler agree on them."""
    report, engine = compile_rtx(model), predict(model, RTX)
    assert report.accepted, report.errors
    # What the compiler folds or merges with an equal node has no kernel that names it.
    assert set(engine.int8_nodes) - set(report.unknown_nodes) == set(report.int8_nodes)
    return set(report.int8_nodes)


def one_conv(
    channels: tuple[int, int] = (16, 16), groups: int = 1, axis: int = 0, half: bool = False
) -> onnx.ModelProto:
    net = Net(("batch", channels[1] * groups, 8, 8))
    data = "x" if half else net.qdq("x")
    weight = net.weight("w", (*channels, 3, 3), axis)
    return net.model(net.op("Conv", data, weight, name="conv", group=groups))


@pytest.mark.parametrize(
    ("build", "int8"),
    [
        (quantized_conv, {"conv"}),
        (float_conv, set()),
        (lambda: residual_block(True), {"conv1", "conv2", "conv3"}),
        (lambda: residual_block(False), {"conv1", "conv2", "conv3"}),
        (lambda: quantized_matmul(1), {"matmul"}),
        (lambda: quantized_matmul(0), set()),
        (lambda: one_conv(axis=1), set()),
        (lambda: one_conv(half=True), set()),
        (lambda: one_conv((16, 3)), {"conv"}),
        (lambda: one_conv((5, 7)), {"conv"}),
        (lambda: one_conv((32, 1), groups=32), {"conv"}),
        (lambda: one_conv((8, 1), groups=8), {"conv"}),
        (lambda: one_conv((24, 6), groups=4), {"conv"}),
    ],
)
def test_single_operators(build: Callable[[], onnx.ModelProto], int8: set[str]) -> None:
    assert agreed(build()) == int8


@pytest.mark.parametrize("dims", [(("batch", 64)), ("batch", 10, 64), ("batch", 2, 10, 64)])
def test_products_of_every_rank(dims: tuple[int | str, ...]) -> None:
    net = Net(dims)
    weight = net.weight("w", (64, 32), 1)
    assert agreed(net.model(net.op("MatMul", net.qdq("x"), weight, name="m"))) == {"m"}


@pytest.mark.parametrize(("transposed", "axis"), [(0, 1), (1, 0)])
def test_gemms(transposed: int, axis: int) -> None:
    net = Net(("batch", 64))
    weight = net.weight("w", (64, 64), axis)
    gemm = net.op("Gemm", net.qdq("x"), weight, name="fc", transB=transposed)
    assert agreed(net.model(gemm)) == {"fc"}


def test_a_weight_that_is_transposed_behind_its_dequantizer() -> None:
    net = Net(("batch", 64))
    weight = net.op("Transpose", net.weight("w", (32, 64), 0), perm=[1, 0])
    assert agreed(net.model(net.op("MatMul", net.qdq("x"), weight, name="m"))) == {"m"}


@pytest.mark.parametrize(
    ("kind", "attributes", "codes"),
    [
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}, True),
        ("Transpose", {"perm": [0, 1, 3, 2]}, True),
        ("Identity", {}, True),
        ("Relu", {}, False),
        ("Sigmoid", {}, False),
        ("AveragePool", {"kernel_shape": [2, 2]}, False),
    ],
)
def test_what_stands_between_dequantizer_and_convolution(
    kind: str, attributes: dict[str, object], codes: bool
) -> None:
    net = Net()
    moved = net.op(kind, net.qdq("x"), **attributes)
    conv = net.op("Conv", moved, net.weight("w", (16, 16, 3, 3)), name="conv")
    assert agreed(net.model(conv)) == ({"conv"} if codes else set())


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_codes_do_not_pass_a_resize(mode: str) -> None:
    net = Net()
    scales = net.constant("sizes", np.array([1, 1, 2, 2], np.float32))
    moved = net.op("Resize", net.qdq("x"), "", scales, mode=mode)
    conv = net.op("Conv", moved, net.weight("w", (16, 16, 3, 3)), name="conv")
    assert agreed(net.model(conv)) == set()


@pytest.mark.parametrize(("second", "int8"), [(0.05, {"conv"}), (0.1, set())])
def test_concatenated_codes(second: float, int8: set[str]) -> None:
    net = Net()
    other = net.constant("other", np.float32(second))
    codes = net.op("QuantizeLinear", "x", other, "zero")
    joined = net.op(
        "Concat", net.qdq("x"), net.op("DequantizeLinear", codes, other, "zero"), axis=1
    )
    conv = net.op("Conv", joined, net.weight("w", (16, 32, 3, 3)), name="conv")
    assert agreed(net.model(conv)) == int8


def test_transposed_convolutions_stay_float() -> None:
    net = Net(("batch", 64, 8, 8))
    weight = net.weight("w", (64, 64, 2, 2), axis=1)
    up = net.op("Relu", net.op("ConvTranspose", net.qdq("x"), weight, name="up", strides=[2, 2]))
    assert agreed(net.model(net.conv(up, "conv", (64, 64)))) == {"conv"}


def cut_attention(transposed_first: bool) -> onnx.ModelProto:
    """Queries, keys and values of one Linear, as timm and as torchvision lay them out."""
    net = Net((2, 10, 64))
    product = net.op("MatMul", net.qdq("x"), net.weight("w", (64, 192), 1), name="qkv")
    shape = net.constant("shape", np.array([2, 10, 3, 4, 16]))
    perm = [2, 0, 1, 3, 4] if transposed_first else [2, 0, 3, 1, 4]
    laid = net.op("Transpose", net.op("Reshape", product, shape), perm=perm)
    parts = [net.op("Gather", laid, net.constant(f"i{i}", np.array(i)), axis=0) for i in range(3)]
    if transposed_first:
        parts = [net.op("Transpose", part, perm=[0, 2, 1, 3]) for part in parts]
    query, key, value = parts
    scores = net.op("MatMul", query, net.op("Transpose", key, perm=[0, 1, 3, 2]))
    return net.model(net.op("MatMul", net.op("Softmax", scores, axis=-1), value))


@pytest.mark.parametrize(("transposed_first", "int8"), [(True, {"qkv"}), (False, set())])
def test_a_linear_whose_channels_are_cut(transposed_first: bool, int8: set[str]) -> None:
    assert agreed(cut_attention(transposed_first)) == int8


def test_uint8_is_predicted_in_float_and_refused() -> None:
    net = Net()
    net.constant("point", np.uint8(128))
    weight = net.weight("w", (16, 16, 3, 3))
    model = net.model(net.op("Conv", net.qdq("x", "point"), weight, name="conv"))
    engine = predict(model, RTX)
    assert engine.int8_nodes == [] and not compile_rtx(model).accepted
    assert any("may refuse the file" in note for note in engine.notes)


class _Block(nn.Module):
    """A bottleneck of YOLO: SiLU, a split, residual Adds, a Concat, and the chain of SPPF."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 2, 1)
        self.first, self.second = (nn.Conv2d(16, 16, 3, 1, 1) for _ in range(2))
        self.join = nn.Conv2d(48, 32, 1)
        self.out = nn.Conv2d(96, 32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        act = nn.functional.silu
        a, b = act(self.stem(x)).chunk(2, 1)
        c = b + act(self.second(act(self.first(b))))
        y = act(self.join(torch.cat([a, b, c], 1)))
        pool = nn.functional.max_pool2d(y, 5, 1, 2)
        return act(self.out(torch.cat([y, pool, nn.functional.max_pool2d(pool, 5, 1, 2)], 1)))


class _Transformer(nn.Module):
    """An encoder layer with fused queries, keys and values, on patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 64, 4, 4)
        self.norm, self.last = nn.LayerNorm(64), nn.LayerNorm(64)
        self.attention = nn.MultiheadAttention(64, 4, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.patch(x).flatten(2).transpose(1, 2)
        z = self.norm(y)
        y = y + self.attention(z, z, z, need_weights=False)[0]
        return y + self.mlp(self.last(y))


@pytest.mark.parametrize("network", [_Block, _Transformer])
@pytest.mark.parametrize("weights", ["fp32", "fp16"])
def test_networks_that_sparqc_compiles(network: type[nn.Module], weights: str) -> None:
    x = torch.randn(2, 3, 32, 32)
    made = sparqc.compile(
        network().eval(), (x,), random_calibration=True, target=RTX, float=weights
    )
    assert len(agreed(made.model)) >= 4


class _Reader(CalibrationDataReader):
    def __init__(self) -> None:
        numbers = np.random.default_rng(0)
        self.left = [numbers.normal(size=(1, 3, 32, 32)).astype(np.float32) for _ in range(2)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return {"x": self.left.pop()} if self.left else None


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 7, 2, 3)
        self.depthwise = nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.conv = nn.Conv2d(16, 16, 3, 1, 1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.max_pool2d(torch.relu(self.stem(x)), 2)
        y = torch.relu(y + self.conv(torch.relu(self.depthwise(y))))
        return self.fc(y.mean((2, 3)))


@pytest.mark.parametrize("per_channel", [True, False])
def test_what_onnxruntime_quantizes(tmp_path: Path, per_channel: bool) -> None:
    source, made = tmp_path / "float.onnx", tmp_path / "quantized.onnx"
    inputs = (torch.randn(1, 3, 32, 32),)
    program = torch.onnx.export(_Residual().eval(), inputs, dynamo=True, verbose=False)
    assert program is not None
    program.save(source)
    quantize_static(
        str(source), str(made), _Reader(), quant_format=QuantFormat.QDQ, per_channel=per_channel,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
    )  # fmt: skip
    assert len(agreed(made)) == 4


# -- sizes and names ---------------------------------------------------------------------------


def test_the_batch_is_eight_unless_one_is_named() -> None:
    model = quantized_conv()
    assert predict(model).macs == 8 * 16 * 64 * 16 * 9
    assert predict(model, batch=2).macs == 2 * 16 * 64 * 16 * 9
    assert predict(model, shapes={"x": (3, 16, 8, 8)}).shapes == (("x", (3, 16, 8, 8)),)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_sizes_that_stay_open_are_said_so() -> None:
    model = quantized_conv(("batch", 16, "height", 8))
    engine = predict(model)
    assert engine.bytes_read == 0 and engine.unsized_tensors
    assert "--shape" in engine.notes[0]
    sized = predict(model, shapes={"x": (1, 16, 8, 8)})
    assert sized.unsized_tensors == 0 and not sized.notes


def test_an_input_of_unknown_rank() -> None:
    net = Net()
    model = net.model(net.op("Relu", "x"))
    model.graph.input[0].type.tensor_type.ClearField("shape")
    engine = predict(model)
    assert (engine.bytes_read, engine.unsized_tensors) == (0, 2)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="batch 4 does not fit"):
        predict(quantized_conv((2, 16, 8, 8)), batch=4)
    with pytest.raises(UsageError, match="does not fit input"):
        predict(quantized_conv(), shapes={"x": (1, 2, 3)})
    with pytest.raises(UsageError, match="no target"):
        predict(quantized_conv(), "tensorflow")


def test_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        predict(tmp_path / "missing.onnx")
    (tmp_path / "broken.onnx").write_bytes(quantized_conv().SerializeToString()[:-40])
    with pytest.raises(SparqcError):
        predict(tmp_path / "broken.onnx")


def test_kernels_name_the_nodes_of_the_file() -> None:
    engine = predict(residual_block(True))
    fused = next(k for k in engine.kernels if k.kind == "conv_add_act")
    assert {"conv2", "add_11", "relu_12"} <= set(fused.nodes)
