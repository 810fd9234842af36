"""Shared and tied weights: an initializer and a DequantizeLinear for each quantized reader
(tensorrt.md §4.6)."""

import numpy as np
import torch
from torch import nn

from tests.fragments.roads import Function, hold

TOKENS = (2, 5, 32)


def stored(file, kind):
    """The initializers that hold the codes of each operator of a kind."""
    dequantizers = [file.graph.producer[n.input[1]] for n in file.graph.of(kind)]
    assert len({d.output[0] for d in dequantizers}) == len(dequantizers)
    return [d.input[0] for d in dequantizers]


def test_a_module_that_is_called_twice():
    def forward(m, x):
        return m.a(torch.relu(m.a(x)))

    net = Function(forward, a=nn.Linear(32, 32))
    roads = hold(
        net,
        torch.randn(TOKENS),
        reads={"x": "linear_matmul", "relu": "linear_1_matmul"},
    )
    for file in (roads.fx, roads.onnx):
        first, second = stored(file, "MatMul")
        assert first != second
        codes = file.graph.constants
        np.testing.assert_array_equal(codes[first], codes[second])


def test_weights_that_two_modules_share():
    a, b = nn.Conv2d(32, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1)
    b.weight = a.weight
    net = nn.Sequential(a, nn.ReLU(), b)
    roads = hold(net, torch.randn(2, 32, 8, 8), reads={"input": "conv", "relu": "output"})
    for file in (roads.fx, roads.onnx):
        assert len(set(stored(file, "Conv"))) == 2


class Tied(nn.Module):
    """A language model whose classifier is its embedding."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(48, 32)
        self.hidden = nn.Linear(32, 32)
        self.head = nn.Linear(32, 48, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        return self.head(torch.nn.functional.gelu(self.hidden(self.embedding(tokens))))


def test_an_embedding_keeps_its_float_copy():
    net = Tied()
    roads = hold(
        net,
        torch.randint(0, 48, (2, 5)),
        reads={"gather": "linear_matmul", "gelu": "output"},
    )
    for file in (roads.fx, roads.onnx):
        (gather,) = file.graph.of("Gather")
        table = file.graph.constants[gather.input[0]]
        np.testing.assert_array_equal(table, net.embedding.weight.detach().numpy())
        codes = file.graph.constants[stored(file, "MatMul")[1]]
        assert codes.dtype == np.int8
        assert codes.shape == (32, 48)
