"""`auto_pad`, as TensorFlow's exporters write it, is read as explicit pads."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.adapter import read_onnx, write_onnx
from sparqc.ir.vocabulary.table import default_table
from tests.ir.onnx_models import model

TABLE = default_table()
OPERATORS = {
    "Conv": "nn.conv", "ConvTranspose": "nn.conv_transpose", "MaxPool": "nn.max_pool",
    "AveragePool": "nn.average_pool",
}  # fmt: skip


def padded(
    op: str, mode: str, size: tuple[Any, ...], kernel: int, stride: int, **more: Any
) -> onnx.ModelProto:
    """One operator with square windows on two channels of a size."""
    attributes = {"auto_pad": mode, "strides": [stride] * len(size), **more}
    attributes["kernel_shape"] = [kernel] * len(size)
    weight = np.random.default_rng(0).standard_normal((2, 2, *attributes["kernel_shape"]))
    constants = {"w": weight.astype(np.float32)} if op.startswith("Conv") else {}
    node = helper.make_node(op, ["x", *constants], ["y"], "node", **attributes)
    ends = ["batch", 2, *size], ["batch", 2, *(f"o{i}" for i in range(len(size)))]
    return model([node], constants, inputs={"x": ends[0]}, outputs={"y": ends[1]})


def run(made: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    return ort.InferenceSession(made.SerializeToString()).run(None, {"x": x})[0]


@pytest.mark.parametrize("size", [(7, 8), (9, 5), (6,)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (2, 1), (3, 2), (2, 2), (4, 3)])
@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "MaxPool", "AveragePool"])
def test_it_is_read_as_pads(
    op: str, mode: str, kernel: int, stride: int, size: tuple[int, ...]
) -> None:
    """onnxruntime reads the original; the graph gives the same, and so does what it is written as.

    Left as they are: average pools that pad one side alone and leave the padding out of the mean,
    and transposed convolutions with less kernel than stride.
    """
    made = padded(op, mode, size, kernel, stride)
    graph = read_onnx(made, TABLE)
    node = next(iter(graph.nodes))
    if node.op == f"onnx.{op}":
        assert op in ("AveragePool", "ConvTranspose") and mode != "VALID"
        assert op == "AveragePool" or kernel < stride
    else:
        assert node.op == OPERATORS[op]
    assert_computes_the_same(made, size)


def test_a_window_shorter_than_its_stride() -> None:
    """Nothing is padded; of a pool like this onnxruntime makes negative pads, and fails."""
    for mode, size in (("SAME_UPPER", (7, 8)), ("SAME_LOWER", (9, 6))):
        assert_computes_the_same(padded("Conv", mode, size, 1, 2), size)


def assert_computes_the_same(made: onnx.ModelProto, size: tuple[int, ...]) -> None:
    """The graph that is read, and the model that it is written as."""
    graph = read_onnx(made, TABLE)
    x = np.random.default_rng(1).standard_normal((3, 2, *size)).astype(np.float32)
    expected = run(made, x)
    (found,), _ = open_runner(graph, TABLE).run([x])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(run(write_onnx(graph, TABLE), x), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "pads"), [("SAME_UPPER", (2, 1, 2, 2)), ("SAME_LOWER", (2, 2, 2, 1))]
)
def test_dilated_windows(mode: str, pads: tuple[int, ...]) -> None:
    """Of 11 rows 6 stay, which reach over 15; of 12 columns 6, which reach over 15."""
    graph = read_onnx(padded("Conv", mode, (11, 12), 3, 2, dilations=[2, 2]), TABLE)
    node = next(iter(graph.nodes))
    assert node.op == "nn.conv" and node.attributes["pads"] == pads


def test_sizes_that_are_not_known_matter_with_a_stride_alone() -> None:
    for stride, op in ((1, "nn.conv"), (2, "onnx.Conv")):
        graph = read_onnx(padded("Conv", "SAME_UPPER", ("h", "w"), 3, stride), TABLE)
        assert next(iter(graph.nodes)).op == op
