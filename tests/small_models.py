"""Small models as files, for tests of the command line."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: A model.py that offers everything; the network is a convolution, a skip and a classifier.
MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16, 16)

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.conv2(y) + x)
        return self.head(y.mean((2, 3)))

def model():
    return Net()

def example_inputs():
    return (torch.randn(4, 16, 8, 8),)

def calibration():
    for _ in range(2):
        yield (torch.randn(4, 16, 8, 8),)

def evaluate(run):
    x = torch.randn(4, 16, 8, 8)
    return {"mean": run(x).mean().item()}
"""


def float_onnx(path: Path, *, batch: int | str = "batch", weight: np.ndarray | None = None) -> Path:
    """Write `relu(conv(x))` with 16 channels; returns the path."""
    if weight is None:
        weight = np.random.default_rng(0).standard_normal((16, 16, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["y"], "relu"),
    ]
    return save(path, nodes, {"w": weight}, batch)


def quantized_onnx(path: Path, codes: type[np.integer], zero_point: int = 0) -> Path:
    """The same network with Q/DQ around its input, in codes of a type."""
    constants = {
        "w": np.ones((16, 16, 3, 3), np.float32),
        "s": np.float32(0.1),
        "z": np.array(zero_point, codes),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "quantize"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], "dequantize"),
        helper.make_node("Conv", ["d", "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["y"], "relu"),
    ]
    return save(path, nodes, constants)


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    batch: int | str = "batch",
) -> Path:
    """Write a graph from x, of [batch, 16, 8, 8], to y, of the shape that it comes to."""
    shape = [batch, 16, 8, 8]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    _declare_output(model)
    onnx.save(model, path)
    return path


def _declare_output(model: onnx.ModelProto) -> None:
    """Give y the shape that inference finds, where it finds one."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    bare.graph.output[0].ClearField("type")
    with contextlib.suppress(onnx.shape_inference.InferenceError):  # an unknown domain
        bare = onnx.shape_inference.infer_shapes(bare, data_prop=True)
    found = bare.graph.output[0]
    if found.type.tensor_type.HasField("shape"):
        model.graph.output[0].CopyFrom(found)


def images(path: Path, count: int = 8) -> Path:
    """Calibration data for either network, as an .npy file."""
    np.save(path, np.random.default_rng(1).standard_normal((count, 16, 8, 8)).astype(np.float32))
    return path
