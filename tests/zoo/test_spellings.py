"""However a residual block is written, the same graph comes out, byte for byte but its lines."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import sparqc


class Block(nn.Module):
    """A residual block whose Add and ReLU are given."""

    def __init__(self, add, relu):
        super().__init__()
        torch.manual_seed(0)
        self.conv1 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 32, 3, padding=1)
        self.add, self.relu = add, relu
        if isinstance(relu, nn.Module):
            self.act = relu

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        y = self.conv3(self.relu(self.conv2(x)))
        return self.conv2(self.relu(self.add(y, x)))


def iadd(a, b):
    a += b
    return a


ADDS = {
    "+": lambda a, b: a + b,
    "swapped +": lambda a, b: b + a,
    "+=": iadd,
    "torch.add": torch.add,
    "swapped torch.add": lambda a, b: torch.add(b, a),
    ".add": lambda a, b: a.add(b),
    ".add_": lambda a, b: a.add_(b),
}
RELUS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "functional": functional.relu,
    "torch.relu": torch.relu,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
}


def compiled_bytes(add, relu):
    x = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(1))
    net = Block(add, relu).eval()
    model = sparqc.compile(net, (x,), random_calibration=True).model
    for node in model.graph.node:
        del node.metadata_props[:]  # the line and the module that it comes from are others
    return model.SerializeToString()


@pytest.fixture(scope="module")
def reference():
    return compiled_bytes(ADDS["+"], RELUS["module"])


@pytest.mark.parametrize("spelling", ADDS)
def test_every_spelling_of_the_residual_add(spelling, reference):
    assert compiled_bytes(ADDS[spelling], functional.relu) == reference


@pytest.mark.parametrize("spelling", RELUS)
def test_every_spelling_of_the_relu(spelling, reference):
    assert compiled_bytes(ADDS["+"], RELUS[spelling]) == reference
