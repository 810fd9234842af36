"""Values that several operators join: in every order of operands the network computes the same."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, max_pool2d, prelu

from sparqc.capture.capture import capture
from sparqc.ir.graph import Array, Graph
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.equalize.equalize import Equalize
from sparqc.passes.equalize.equalized import Equalization
from tests.calibration_models import placing_context

CHANNELS = 6
BATCHES: list[list[Array]] = [
    [np.random.default_rng(seed).standard_normal((2, 3, 8, 8)).astype(np.float32)]
    for seed in range(2)
]
Join = Callable[[Tensor, Tensor], Tensor]
JOINS: dict[str, Join] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (2 + b.abs()),
    "maximum": torch.maximum,
    "where": lambda a, b: torch.where(a > 0, a, b),
    "where, a condition": lambda a, b: torch.where(a > b, b, b + 1),
    "prelu": lambda a, b: prelu(a, b.mean((0, 2, 3))),
    "a weight": lambda a, b: conv2d(a, b.mean(0, keepdim=True)[:, :, :3, :3], padding=1) + a,
    "cat": lambda a, b: torch.cat([a[:, ::2], b[:, 1::2]], 1),
    "stack": lambda a, b: torch.stack([a, b]).sum(0),
}


def layer(inputs: int = CHANNELS, size: int = 3) -> nn.Conv2d:
    """A convolution that keeps the size, and whose channels have very different ranges."""
    conv = nn.Conv2d(inputs, CHANNELS, size, padding=size // 2)
    with torch.no_grad():
        factors = torch.logspace(-1.5, 0.5, CHANNELS)[torch.randperm(CHANNELS)]
        conv.weight *= factors.reshape(-1, 1, 1, 1)
        assert conv.bias is not None
        conv.bias *= factors
    return conv


def differences(graph: Graph) -> tuple[float, int]:
    """How far `equalize` moved the outputs, relative to the largest; how many groups it scaled."""
    before = [open_runner(graph, default_table()).run(batch)[0][0] for batch in BATCHES]
    found = placing_context(BATCHES)
    Equalize(margin=0, always=True).run(graph, found)
    graph.verify()
    after = [open_runner(graph, default_table()).run(batch)[0][0] for batch in BATCHES]
    moved = max(float(np.abs(a - b).max()) for a, b in zip(after, before, strict=True))
    largest = max(float(np.abs(b).max()) for b in before)
    return moved / largest, sum(not row.reason for row in found.facts[Equalization].groups)


class Joined(nn.Module):
    """Two branches that layers read, and a join of both."""

    def __init__(self, join: Join, swapped: bool, joined_first: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.join, self.swapped, self.joined_first = join, swapped, joined_first
        self.a, self.b, self.c, self.d = layer(3), layer(3), layer(), layer()

    def forward(self, x: Tensor) -> Tensor:
        a, b = torch.relu(self.a(x)), torch.relu(self.b(x))
        pair = (b, a) if self.swapped else (a, b)
        joined = self.join(*pair) if self.joined_first else torch.zeros(())
        read = self.c(a) + self.d(b)
        return read + (joined if self.joined_first else self.join(*pair))


class Encoder(nn.Module):
    """The inner part of a U-Net: `cat([up(e2(pool(a))), a])`, in both orders."""

    def __init__(self, swapped: bool, resized: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.swapped = swapped
        self.e1, self.e2, self.d = layer(3), layer(), layer(2 * CHANNELS)
        self.head, self.up = layer(), nn.ConvTranspose2d(CHANNELS, CHANNELS, 2, 2)
        self.resized = resized

    def forward(self, x: Tensor) -> Tensor:
        a = torch.relu(self.e1(x))
        e = self.e2(max_pool2d(a, 2))
        u = interpolate(e, scale_factor=2) if self.resized else self.up(e)
        joined = torch.cat([a, u] if self.swapped else [u, a], 1)
        out: Tensor = self.head(torch.relu(self.d(joined)))
        return out


@pytest.mark.parametrize("name", JOINS)
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("joined_first", [False, True])
def test_a_join_of_two_values_that_layers_read(
    name: str, swapped: bool, joined_first: bool
) -> None:
    net = Joined(JOINS[name], swapped, joined_first).eval()
    moved, _ = differences(capture(net, (torch.from_numpy(BATCHES[0][0]),)).graph)
    assert moved < 1e-5


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("resized", [False, True])
def test_the_skip_of_a_u_net(swapped: bool, resized: bool) -> None:
    net = Encoder(swapped, resized).eval()
    moved, scaled = differences(capture(net, (torch.from_numpy(BATCHES[0][0]),)).graph)
    assert moved < 1e-5
    assert scaled == 1 + (not resized)  # what the decoder and the upsampling alone read


class Random(nn.Module):
    """Layers, activations and joins of what was there before, drawn from a seed."""

    def __init__(self, seed: int, steps: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        kinds = ["layer", "layer", "relu", "pool", *JOINS]
        self.steps = [
            (kinds[rng.integers(len(kinds))], *(int(i) for i in rng.integers(0, 1 << 16, 2)))
            for _ in range(steps)
        ]
        self.stem, self.head = layer(3), layer(size=1)
        self.layers = nn.ModuleList(layer() for _ in self.steps)

    def forward(self, x: Tensor) -> Tensor:
        values = [torch.relu(self.stem(x))]
        for own, (kind, i, j) in zip(self.layers, self.steps, strict=True):
            a, b = values[-1 - i % min(3, len(values))], values[j % len(values)]
            one: dict[str, Callable[[Tensor], Tensor]] = {
                "layer": own, "relu": torch.relu, "pool": lambda v: max_pool2d(v, 3, 1, 1),
            }  # fmt: skip
            y = one[kind](a) if kind in one else JOINS[kind](a, b)
            values.append(y / (1 + y.abs().mean()) if kind == "mul" else y)
        out: Tensor = self.head(values[-1])
        return out


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.integers(2, 8))
def test_random_networks_compute_the_same(seed: int, steps: int) -> None:
    net = Random(seed, steps).eval()
    moved, _ = differences(capture(net, (torch.from_numpy(BATCHES[0][0]),)).graph)
    assert moved < 1e-5


def test_random_networks_are_equalized_now_and_then() -> None:
    scaled = 0
    for seed in range(8):
        net = Random(seed, 4).eval()
        scaled += differences(capture(net, (torch.from_numpy(BATCHES[0][0]),)).graph)[1]
    assert scaled
