"""How large values may become is told by codes, weights and monotone operators alone."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import sparqc
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.numerics.finite import largest_magnitude
from sparqc.passes.half.magnitudes import Magnitudes
from tests.zoo.random_networks import RandomNet

TABLE = default_table()
CODES = """
q: i8[1, 2, 4, 4]
s: const f32[] = 0.5
x = q.dequantize(q, s)
"""


def bound(text, name="y"):
    graph = parse_statements(CODES + text, TABLE, "onnx")
    return Magnitudes(graph, TABLE).of(graph.value(name))


@pytest.mark.parametrize(
    ("text", "largest"),
    [
        ("y = nn.relu(x)", 64.0),
        ("y = nn.sigmoid(x)", 1.0),
        ("y = nn.global_average_pool(x)", 64.0),
        ("y = nn.reduce_sum(x, axes=[2, 3], keepdims=false)", 16 * 64.0),
        ("y = nn.transpose(x, perm=[0, 2, 3, 1])", 64.0),
        ("y = nn.add(x, nn.relu(x))", 128.0),
        ("y = nn.add(x, 2.0)", 66.0),
        ("y = nn.mul(x, x)", 4096.0),
        ("y = nn.mul(nn.sigmoid(x), x)", 64.0),
        ("y = nn.sub(x, x)", math.inf),  # nothing is known of it: it is looked at
        ("y = nn.exp(x)", math.exp(64)),
        ("y = nn.exp(nn.mul(x, 4.0))", math.inf),
    ],
)
def test_a_bound_follows_from_codes(text, largest):
    assert bound(text) == pytest.approx(largest, rel=1e-5)


def test_what_comes_from_an_input_in_float_has_none():
    graph = parse_statements("x: f32[2, 4]\ny = nn.relu(x)\nz = nn.sigmoid(x)", TABLE, "onnx")
    found = Magnitudes(graph, TABLE)
    assert found.of(graph.value("y")) == math.inf


@pytest.mark.parametrize("road", ["FX", "ONNX"])
def test_every_value_of_a_quantized_network_has_one(road):
    """Convolutions, transposed ones and matrix products, with one scale or one a channel."""
    net = nn.Sequential(
        nn.Conv2d(16, 32, 3), nn.ReLU6(), nn.MaxPool2d(2), nn.ConvTranspose2d(32, 16, 2, 2),
        nn.LeakyReLU(0.1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 16), nn.Sigmoid(),
    )  # fmt: skip
    images = (torch.randn(2, 16, 12, 12),)
    model = sparqc.compile(net, images, passes="export").model if road == "ONNX" else net
    made = sparqc.compile(model, images, passes="int8", random_calibration=True, float="fp32")
    bounds = Magnitudes(made.graph, TABLE)
    assert all(bounds.of(v) < 1000 for n in made.graph.nodes for v in n.outputs
               if v.type.dtype == "f32")  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_input_makes_a_value_of_an_int8_network_larger(seed):
    torch.manual_seed(seed)
    net = RandomNet(seed)
    made = sparqc.compile(net, (net.x,), passes="int8", random_calibration=True, float="fp32")
    bounds = Magnitudes(made.graph, TABLE)
    values = [v for n in made.graph.nodes for v in n.outputs if v.type.dtype == "f32"]
    for scale in (1.0, 1e4):  # far beyond all ranges
        batch = [np.asarray(x) * np.float32(scale) for x in (net.x,)]
        _, arrays = open_runner(made.graph, TABLE).run(batch, values)
        for value, array in zip(values, arrays, strict=True):
            assert largest_magnitude(array) <= bounds.of(value) * (1 + 1e-5) + 1e-6
