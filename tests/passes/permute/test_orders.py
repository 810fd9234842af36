"""The proof on whole networks: whatever is free may be shuffled, and the outputs are the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sparqc.ir.export.direct import to_onnx
from tests.passes.permute.networks import TABLE, assert_equal_outputs, graph_of, outputs, shuffle
from tests.zoo.architecture import settle
from tests.zoo.random_networks import RandomNet


@settings(max_examples=12)
@given(st.integers(0, 10_000))
def test_random_networks(seed: int) -> None:
    net = RandomNet(seed).double()
    x = net.x.double()
    graph = graph_of(net, x)
    before = outputs(graph, [x])
    shuffle(graph, seed)
    assert_equal_outputs(before, outputs(graph, [x]))


def resnet18() -> nn.Module:
    from torchvision.models import resnet18

    return resnet18(num_classes=16)


def mobilenet_v2() -> nn.Module:
    from torchvision.models import mobilenet_v2

    return mobilenet_v2(width_mult=0.25, num_classes=16)


def efficientnet() -> nn.Module:
    """Depthwise convolutions, squeeze and excitation, SiLU."""
    from torchvision.models import efficientnet_b0

    return efficientnet_b0(num_classes=16)


def densenet() -> nn.Module:
    """Concats of all that was before."""
    from torchvision.models.densenet import DenseNet

    return DenseNet(12, (2, 2), 16, num_classes=16)


def vgg() -> nn.Module:
    """A Flatten of 2x2 pixels in front of the Linears."""
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.PReLU(32), nn.AdaptiveAvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 16)),
    )


def resnext() -> nn.Module:
    """Grouped convolutions."""
    from torchvision.models.resnet import Bottleneck, ResNet

    return ResNet(Bottleneck, [1, 1, 1, 1], groups=8, width_per_group=4, num_classes=16)


def vit() -> nn.Module:
    """A residual stream of tokens, LayerNorm, attention and MLPs."""
    from torchvision.models import VisionTransformer

    return VisionTransformer(32, 8, 2, 4, 32, 64, num_classes=16)


def convnext() -> nn.Module:
    """LayerNorm over channels last, and LayerScale."""
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(16, 32, 1), CNBlockConfig(32, None, 1)], num_classes=16)


#: How many orders are free, beside the network.
NETWORKS = [
    (resnet18, 12), (mobilenet_v2, 24), (efficientnet, 40), (densenet, 10), (vgg, 3), (resnext, 41),
    (vit, 3), (convnext, 4),
]  # fmt: skip


@pytest.mark.parametrize(("make", "orders"), NETWORKS, ids=[make.__name__ for make, _ in NETWORKS])
def test_networks(make: Callable[[], nn.Module], orders: int) -> None:
    x = torch.randn(2, 3, 32, 32)
    net = make().eval()
    settle(net, (x,))
    x = x.double()
    graph = graph_of(net.double(), x)
    before = outputs(graph, [x])
    assert shuffle(graph) == orders
    assert_equal_outputs(before, outputs(graph, [x]))


@pytest.mark.parametrize("make", [densenet, vgg, vit])
def test_onnx_graphs(make: Callable[[], nn.Module]) -> None:
    x = torch.randn(2, 3, 32, 32)
    net = make()
    settle(net.eval(), (x,))
    graph = to_onnx(graph_of(net, x), TABLE)
    before = outputs(graph, [x])
    assert shuffle(graph)
    assert_equal_outputs(before, outputs(graph, [x]), rtol=1e-4)


class Integers(nn.Module):
    """Every sum that it computes is an integer, exact in float64 in whichever order."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16, eps=0)
        self.a, self.b = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16 * 16, 4)
        for parameter in self.parameters():
            parameter.data.uniform_(-4, 5).floor_()
        self.norm.running_mean.uniform_(-4, 5).floor_()

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(x + self.b(torch.relu(self.a(x))))
        return self.head(x.flatten(1))


def test_bit_for_bit_where_sums_are_exact() -> None:
    net = Integers().double()
    x = torch.randint(-3, 4, (2, 3, 4, 4)).double()
    graph = graph_of(net, x)
    before = outputs(graph, [x])
    weights = {c.name: c.data for c in graph.constants}
    assert shuffle(graph) == 2
    np.testing.assert_array_equal(outputs(graph, [x])[0], before[0])
    assert not np.array_equal(graph.value("a.weight").data, weights["a.weight"])
