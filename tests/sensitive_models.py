"""A network whose layers are sensitive on purpose, each in its own way."""

from __future__ import annotations

from pathlib import Path

import torch
from onnx import TensorProto, helper, numpy_helper

#: `quiet` minds nothing.  In front of `loud` one channel is thirty times larger than the others
#: and nearly unread, so INT8 has few codes for the rest.  The weights of `full` all have one
#: magnitude, so 2:4 takes half of them; those of the others are nearly 2:4.
MODEL = """
import torch
from torch import nn

def nearly_sparse(layer):
    weight = layer.weight.detach()
    rank = weight.unflatten(1, (-1, 4)).abs().argsort(2).argsort(2).flatten(1, 2)
    return torch.where(rank >= 2, weight, 1e-3 * weight)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(32)
        self.quiet = nn.Conv2d(32, 32, 3, padding=1)
        self.loud = nn.Conv2d(32, 32, 3, padding=1)
        self.full = nn.Conv2d(32, 32, 3, padding=1)
        self.head = nn.Linear(32, 32)
        with torch.no_grad():
            for layer in (self.stem, self.quiet, self.loud):
                layer.weight.copy_(nearly_sparse(layer))
            self.quiet.weight[0] *= 30
            self.quiet.bias[0] = 60
            self.loud.weight[:, 0] *= 1e-3
            self.full.weight.copy_(0.05 * self.full.weight.sign())
            self.head.weight.copy_(nearly_sparse(self.head))
            y = self.stem(torch.randn(64, 16, 8, 8))
            self.bn.running_mean.copy_(y.mean((0, 2, 3)))
            self.bn.running_var.copy_(y.var((0, 2, 3)))

    def forward(self, x):
        y = torch.relu(self.bn(self.stem(x)))
        y = torch.relu(self.quiet(y))
        z = torch.relu(self.loud(y))
        z = torch.relu(self.full(z) + z)
        return self.head(z.mean((2, 3)))

def model():
    return Net().eval()

def example_inputs():
    return (torch.randn(4, 16, 8, 8),)

def calibration():
    for _ in range(3):
        yield (torch.randn(8, 16, 8, 8),)
"""

#: The share of the answers that the float network gives, and the mean error.
EVALUATE = """
def evaluate(run):
    net = model()
    right, error = 0.0, 0.0
    for _ in range(4):
        x = torch.randn(16, 16, 8, 8)
        with torch.no_grad():
            expected = net(x)
        given = run(x)
        right += (given.argmax(1) == expected.argmax(1)).float().sum().item()
        error += (given - expected).abs().mean().item()
    return {"agreement": 100 * right / 64, "error": error / 4}
"""


def model_file(folder: Path, *, evaluate: str = "") -> Path:
    """Write model.py; returns its path."""
    path = folder / "model.py"
    path.write_text(MODEL + evaluate)
    return path


def onnx_file(folder: Path) -> Path:
    """Two convolutions with Relu as model.onnx, and calibration.npz beside it."""
    torch.manual_seed(0)
    weights = {name: torch.randn(32, 32, 3, 3).numpy() / 10 for name in ("w1", "w2")}
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["y"], "relu2"),
    ]
    shape = ["batch", 32, 8, 8]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path
