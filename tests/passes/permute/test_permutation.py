"""`permute_channels`: what it permutes, what that keeps, and what it refuses with which reason."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sparqc.ir.graph import Graph
from sparqc.ir.levels.execute import open_runner
from sparqc.numerics.two_four import two_four_mask
from sparqc.passes.permute import Permutations, permute_channels
from tests.calibration_models import context
from tests.passes.permute.networks import TABLE, assert_equal_outputs, graph_of, layers_of, outputs
from tests.passes.permute.networks import permute as permuted


def conv(channels: int, out: int, **options: object) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, padding=1, **options)  # type: ignore[arg-type]


class Residual(nn.Module):
    """A stem, a block with a skip, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn = conv(3, 16), nn.BatchNorm2d(16)
        self.conv1, self.bn1 = conv(16, 32, bias=False), nn.BatchNorm2d(32)
        self.conv2, self.scale = conv(32, 16), nn.Parameter(torch.rand(16, 1, 1))
        self.head = nn.Linear(16, 8)
        for norm in (self.bn, self.bn1):
            nn.init.normal_(norm.bias)
            nn.init.uniform_(norm.running_var, 0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.stem(x)))
        y = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(x + self.scale * self.conv2(y))
        return self.head(x.mean((2, 3)))


IMAGE = torch.randn(2, 3, 8, 8, dtype=torch.float64)


def kept(graph: Graph) -> float:
    """The magnitude that 2:4 masks leave."""
    arrays = [(layer.data(TABLE), layer.axis) for layer in layers_of(graph)]
    return float(sum((np.abs(a) * two_four_mask(a, axis)).sum() for a, axis in arrays))


def test_a_residual_network() -> None:
    net = Residual().double()
    graph = graph_of(net, IMAGE)
    before, magnitude = outputs(graph, [IMAGE]), kept(graph)
    weights = {name: p.detach().clone() for name, p in net.named_parameters()}
    given = context()
    rows = permuted(graph, given)

    # The stem's channels are those of the sum, and so those of the skip and of the classifier.
    assert rows["conv"].layers == ("conv_1", "linear")
    assert rows["conv_1"].layers == ("conv_2",)
    assert [row.channels for row in rows.values()] == [16, 32]
    assert all(row.reason == "" and row.after > row.before for row in rows.values())
    assert given.facts[Permutations].groups == tuple(rows.values())
    assert kept(graph) > magnitude
    assert_equal_outputs(before, outputs(graph, [IMAGE]))
    graph.verify()
    # The module still is what it was: constants are replaced.
    for name, parameter in net.named_parameters():
        assert torch.equal(parameter, weights[name]), name
        assert sorted(parameter.flatten().tolist()) == sorted(graph.value(name).data.flat), name
    assert not np.array_equal(graph.value("scale").data, weights["scale"])


def test_values_of_the_graph_as_it_was_read_stay_comparable() -> None:
    graph = graph_of(Residual().double(), IMAGE)
    reference = graph.clone()
    given = context(reference=reference)
    permuted(graph, given)
    names = [node.output.name for node in graph.nodes]
    arrays = []
    for found in (graph, reference):
        values = [found.value(name) for name in names]
        arrays.append(open_runner(found, TABLE).run([IMAGE.numpy()], values)[1])
    assert_equal_outputs(*arrays)


def test_a_reference_with_other_channels_forbids() -> None:
    """There the stem's channels are read by an operator that is not known."""
    graph = graph_of(Residual(), IMAGE.float())
    reference = graph.clone()
    relu = reference.value("relu")
    added = reference.create("aten.cumsum.default", {"self": relu}, {"dim": 1}, types=[relu.type])
    reference.set_outputs([*reference.outputs, added.output])
    rows = permuted(graph, context(reference=reference))
    assert "in the graph as it was read, aten.cumsum" in rows["conv"].reason
    assert rows["conv_1"].reason == ""


def test_the_order_of_the_nodes_does_not_matter() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = (conv(c, 16) for c in (3, 16, 3, 16))

        def forward(self, x: Tensor) -> Tensor:
            return self.b(torch.relu(self.a(x))) + self.d(torch.relu(self.c(x)))

    torch.manual_seed(0)
    one = graph_of(Branches(), IMAGE.float())
    other = one.clone()
    first = next(other.nodes)
    for name in ("conv_2", "relu_1", "conv_3"):
        node = other.value(name).producer
        assert node is not None
        other.move_before(node, first)
    assert [n.id for n in one.nodes] != [n.id for n in other.nodes]
    assert permuted(one) == permuted(other)
    for constant in one.constants:
        np.testing.assert_array_equal(constant.data, other.value(constant.name).data)


def through(function: Callable[[Tensor], Tensor], channels: int) -> nn.Module:
    """Two convolutions with something between them."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = conv(3, 32), conv(channels, 16)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(function(self.a(x)))

    return Net()


ALLOWED = {
    "concat": lambda y: torch.cat([y, torch.relu(y)], 1),
    "chunks": lambda y: torch.cat(list(y.chunk(2, 1))[::-1], 1),
    "pad": lambda y: nn.functional.pad(y, (1, 0, 0, 1)),
    "softmax": lambda y: y.softmax(1),
    "gate": lambda y: y * y.mean((2, 3), keepdim=True).sigmoid(),
    "norm": lambda y: y / y.norm(dim=1, keepdim=True),
    "tokens": lambda y: y.flatten(2).transpose(1, 2).transpose(1, 2).reshape(y.shape),
    "upsample": lambda y: nn.functional.interpolate(y, scale_factor=2, mode="bilinear"),
    "pixel shuffle": lambda y: nn.functional.pixel_shuffle(y, 2),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_channels_pass_through(name: str) -> None:
    with torch.no_grad():
        channels = ALLOWED[name](torch.randn(2, 32, 8, 8)).shape[1]
    graph = graph_of(through(ALLOWED[name], channels).double(), IMAGE)
    before = outputs(graph, [IMAGE])
    rows = permuted(graph)
    assert any(row.reason == "" for row in rows.values())
    assert_equal_outputs(before, outputs(graph, [IMAGE]))


REFUSED = {
    "aten.logcumsumexp": lambda y: y.logcumsumexp(1),  # an operator outside the table
    "nn.cumsum": lambda y: y.cumsum(1),
    "nn.reshape": lambda y: y.reshape(-1, 4, 8, 8, 8).transpose(1, 2).reshape(-1, 32, 8, 8),
    "nn.roll": lambda y: y.roll(1, 1),
    "nn.group_norm": lambda y: nn.functional.group_norm(y, 4),
    "nn.pad": lambda y: nn.functional.pad(y, (0, 0, 0, 0, 8, 8)),
    "aten.flip": lambda y: y.flip(1),
    "nn.slice": lambda y: y[:, ::2],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_its_channels_in_order(name: str) -> None:
    with torch.no_grad():
        channels = REFUSED[name](torch.randn(2, 32, 8, 8)).shape[1]
    graph = graph_of(through(REFUSED[name], channels).double(), IMAGE)
    weights = {c.name: c.data for c in graph.constants}
    rows = permuted(graph)
    assert [row for row in rows.values() if name in row.reason], rows
    assert all(row.after == row.before for row in rows.values())
    assert all(c.data is weights[c.name] for c in graph.constants)


def test_inputs_and_outputs_keep_their_channels() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = conv(16, 16), conv(16, 16)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.a(x)
            return self.b(torch.relu(y)), y

    graph = graph_of(Net(), torch.randn(2, 16, 8, 8))
    reasons = [row.reason for row in permuted(graph).values()]
    assert reasons[0] == "the input 'x' has them in this order"
    assert reasons[1].startswith("the output ")


def test_a_weight_that_is_2_4_stays_so() -> None:
    net = nn.Sequential(conv(3, 16), nn.ReLU(), conv(16, 16))
    with torch.no_grad():
        weight = net[2].weight.detach().numpy()
        net[2].weight.mul_(torch.from_numpy(two_four_mask(weight, 1)))
    rows = permuted(graph_of(net, IMAGE.float()))
    assert [row.reason for row in rows.values()][-1] == "the weight of 'conv_1' already is 2:4"


def test_few_channels_and_blocks_are_left_alone() -> None:
    """4 channels are one group; behind a Flatten four columns are pixels of one channel."""
    net = nn.Sequential(conv(3, 4), conv(4, 16), nn.Flatten(), nn.Linear(1024, 16))
    reasons = [row.reason for row in permuted(graph_of(net, IMAGE.float())).values()]
    assert reasons[0].startswith("they are less than two groups")
    assert reasons[1].startswith("no group of four of a weight lies within them")


def test_a_shared_weight_is_permuted_once_for_all_its_readers() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.conv, self.head = conv(3, 16), conv(16, 16), conv(16, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            return self.head(self.conv(torch.relu(self.conv(torch.relu(x)))))

    graph = graph_of(Twice().double(), IMAGE)
    before = outputs(graph, [IMAGE])
    rows = permuted(graph)
    assert rows["conv"].layers == ("conv_1", "conv_3") and rows["conv"].reason == ""
    assert_equal_outputs(before, outputs(graph, [IMAGE]))


def test_layers_that_are_not_masked_do_not_count() -> None:
    graph = graph_of(Residual(), IMAGE.float())
    weights = {c.name: c.data for c in graph.constants}
    rows = permute_channels(graph, context(), [])
    assert rows == [] and all(c.data is weights[c.name] for c in graph.constants)
