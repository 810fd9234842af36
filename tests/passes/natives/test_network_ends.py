"""Both roads find the same ends of a network, however they spell what lies behind and in front."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import sparqc
from sparqc.declared.targets import default_profile
from sparqc.extend import Recorder
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.natives.network_ends import first_convolutions, is_detection_head
from sparqc.passes.place.decide import Decider
from sparqc.pipeline.action import Action
from sparqc.pipeline.library import rulebook
from sparqc.rewrite.context import Context


class Heads(nn.Module):
    """A convolution that keeps its channels in front of a function, and a head beside it."""

    def __init__(self, function):
        super().__init__()
        self.kept, self.other = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 24, 1)
        self.function = function

    def forward(self, x):
        return self.function(self.kept(x)), self.other(x)


class Folded(Recorder):
    """Keeps the graph that quantizers would be placed in."""

    def on_pass(self, event):
        super().on_pass(event)
        if event.pass_ == "fold":
            self.graph = event.graph.clone()


def convolutions(model, *inputs):
    """The convolutions of the folded graph, and the float file."""
    folded = Folded()
    done = sparqc.compile(model, inputs, passes="float", listeners=[folded])
    return [n for n in folded.graph.nodes if n.op == "nn.conv"], done.model


def heads(model, *inputs):
    """The numbers of output channels of the heads, and the float file."""
    convs, exported = convolutions(model, *inputs)
    assert len(convs) == 2
    return {n.output.shape[1] for n in convs if is_detection_head(n.output)}, exported


def first_scattered(x):
    return x.select_scatter(x[:, 0], 1, 1)


COLLECTED = {
    "one channel": lambda x: x[:, 0],
    "unbound": lambda x: first_scattered(x).unbind(1)[0],
    "split into parts": lambda x: x.chunk(2, 1),
    "rows": lambda x: x.flatten(2).sigmoid(),
    "channels last": lambda x: x.permute(0, 2, 3, 1),
    "scores and classes": lambda x: x.sigmoid().max(1),
    "classes": lambda x: x.argmax(1),
}  # fmt: skip
MAPS = {
    "as it is": lambda x: x,
    "an output that is a copy": lambda x: x.clone(),
    "a channel written anew": first_scattered,
    "rolled": lambda x: x.roll(1, 2),
    "parts put together again": lambda x: torch.cat([x[:, 8:], x[:, :8]], 1),
    "variances": lambda x: x.var((2, 3)),
    "deviation and mean": lambda x: torch.std_mean(x, 1),
    "pooled to a size": lambda x: functional.adaptive_max_pool2d(x, (1, 4)),
    "averages of a size": lambda x: functional.adaptive_avg_pool2d(x, (4, 2)),
    "sums of windows": lambda x: functional.avg_pool2d(x, 2, divisor_override=3),
    "antialiased": lambda x: functional.interpolate(
        x, size=(4, 4), mode="bilinear", antialias=True),
}  # fmt: skip


@pytest.mark.parametrize("name", [*COLLECTED, *MAPS])
def test_both_roads_find_the_same_heads(name):
    net = Heads({**COLLECTED, **MAPS}[name]).eval()
    x = torch.randn(2, 16, 8, 8)
    expected = {16, 24} if name in COLLECTED else set()
    on_fx, exported = heads(net, x)
    on_onnx, _ = heads(exported, x)
    assert on_fx == on_onnx == expected


def test_sizes_that_are_not_known_are_no_new_layout():
    class Sized(Heads):
        def forward(self, x):
            return self.function(self.kept(x)), self.other(x).flatten(1)

    net = Sized(lambda x: x + 1).eval()
    exported = torch.onnx.export(
        net, (torch.randn(2, 16, 8, 8),), verbose=False,
        dynamic_shapes=({0: "n", 2: "h", 3: "w"},),
    ).model_proto  # fmt: skip
    found, _ = heads(exported)
    assert found == set()


def decision_of(conv):
    """Why a convolution stays in float; "" where it does not."""
    decider = Decider(conv.graph, Context(default_table(), rulebook(), default_profile(), Action()))
    return decider.owners[conv].reason


FIRST = {
    "a resize that is written as products": lambda x: functional.interpolate(
        x, size=(6, 6), mode="bilinear", antialias=True),
    "a matrix in front": lambda x: torch.eye(8) @ x,
}  # fmt: skip
LATER = {
    "a product of features": lambda x: x @ x.transpose(2, 3),
    "a weight behind": lambda x: x @ torch.eye(8),
}


@pytest.mark.parametrize("name", [*FIRST, *LATER])
def test_both_roads_find_the_same_first_convolution(name):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 16, 3, padding=1)

        def forward(self, x):
            return self.conv({**FIRST, **LATER}[name](x))

    (on_fx,), exported = convolutions(Net().eval(), torch.randn(2, 3, 8, 8))
    (on_onnx,), _ = convolutions(exported, torch.randn(2, 3, 8, 8))
    for conv in (on_fx, on_onnx):
        assert (first_convolutions(conv.graph) == [conv]) == (name in FIRST)
        # Few channels are enough for the first one alone.
        assert decision_of(conv).startswith("C or K below 16") == (name not in FIRST)
