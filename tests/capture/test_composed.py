"""Recurrent cells and bilinear layers: their weights are layers like any other."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

import sparqc
from sparqc.passes.place.placement import Placement

CELLS = {
    "LSTM cell": lambda: nn.LSTMCell(32, 32),
    "LSTM cell without a bias": lambda: nn.LSTMCell(32, 32, bias=False),
    "GRU cell": lambda: nn.GRUCell(32, 32),
    "RNN cell": lambda: nn.RNNCell(32, 32),
    "RNN cell with a ReLU": lambda: nn.RNNCell(32, 32, nonlinearity="relu"),
}


class Twice(nn.Module):
    """A cell that is called with its own state, as decoders do."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        state = self.cell(x)
        state = self.cell(2 * x, state)
        return state if isinstance(state, torch.Tensor) else state[0] - state[1]


class Scores(nn.Module):
    """A bilinear layer over two axes in front, behind a linear one."""

    def __init__(self):
        super().__init__()
        self.first, self.score = nn.Linear(32, 16), nn.Bilinear(16, 32, 24)

    def forward(self, x):
        y = torch.stack([x, x.cos()], 1)
        return self.score(self.first(y), y)


def exported(module):
    """The module as torch.export gives it, as a .pt2 file holds it."""
    batch = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(module, (torch.randn(2, 32),), dynamic_shapes=batch, strict=False)
    return program.module(check_guards=False)


def same_numbers(module, model):
    session = ort.InferenceSession(model.SerializeToString())
    for size in (2, 5):
        x = torch.randn(size, 32)
        (given,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(given, module(x).numpy(), rtol=1e-5, atol=1e-5)


def int8_layers(model):
    batches = [(torch.randn(8, 32),)]
    inputs = (torch.randn(2, 32),)
    done = sparqc.compile(model, inputs, passes="int8", calibration=batches)
    layers = done.context.facts[Placement].layers
    return sorted(layer.shape for layer in layers if layer.weight and layer.int8)


@pytest.mark.parametrize("made", CELLS.values(), ids=CELLS)
def test_the_weights_of_a_cell_are_layers_on_both_roads(made):
    module = Twice(made()).eval()
    done = sparqc.compile(module, (torch.randn(2, 32),), passes="float")
    assert done.opaque == {}
    same_numbers(module, done.model)
    layers = int8_layers(module)
    assert len(layers) == 4
    assert len(int8_layers(done.model)) == 4


def test_a_bilinear_layer_is_a_linear_one_and_a_sum():
    module = Scores().eval()
    done = sparqc.compile(module, (torch.randn(2, 32),), passes="float")
    same_numbers(module, done.model)
    assert int8_layers(module) == [(16, 32), (24 * 32, 16)]


def test_a_module_that_was_exported_before_is_read_alike_and_left_as_it_is():
    module = Twice(nn.LSTMCell(32, 32)).eval()
    graph = exported(module)
    before = str(graph.graph)
    assert int8_layers(graph) == int8_layers(module)
    assert str(graph.graph) == before
