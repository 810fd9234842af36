"""A convolution and its activation are one kernel: nothing is quantized in between."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.fragments.roads import Function, conv, hold, image

#: name -> the activation, and the name of its last operator
ACTIVATIONS = {
    "silu": (functional.silu, "silu"),
    "silu, written out": (lambda y: y * torch.sigmoid(y), "mul"),
    "silu, factors swapped": (lambda y: torch.sigmoid(y) * y, "mul"),
    "hardswish": (functional.hardswish, "hardswish"),
    "hardswish, y * hardsigmoid": (lambda y: y * functional.hardsigmoid(y), "mul"),
    "hardswish, y * relu6(y + 3) / 6": (lambda y: y * functional.relu6(y + 3) / 6, "div"),
    "hardswish, y * (relu6(y + 3) / 6)": (lambda y: y * (functional.relu6(y + 3) / 6), "mul"),
    "hardswish, times 1/6": (lambda y: y * functional.relu6(y + 3) * (1 / 6), "mul_1"),
    "leaky relu": (lambda y: functional.leaky_relu(y, 0.1), "leaky_relu"),
    "relu6": (functional.relu6, "clip"),
    "clip": (lambda y: torch.clamp(y, -1, 2), "clip"),
    "clip, one end": (lambda y: torch.clamp_min(y, 0), "clip"),
    "gelu": (functional.gelu, "gelu"),
    "gelu, tanh": (lambda y: functional.gelu(y, approximate="tanh"), "gelu"),
    "gelu, five operators": (lambda y: 0.5 * y * (1 + torch.erf(y / math.sqrt(2))), "mul_1"),
    "gelu, half last": (lambda y: y * (1 + torch.erf(y / math.sqrt(2))) * 0.5, "mul_1"),
    "gelu, half inside": (lambda y: y * (0.5 * (1 + torch.erf(y * math.sqrt(0.5)))), "mul_2"),
    "gelu, tanh written out": (
        lambda y: 0.5 * y * (1 + torch.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3))),
        "mul_3",
    ),
    "gelu, tanh by Horner": (
        lambda y: 0.5 * y * (1 + torch.tanh(0.7978845608 * y * (1 + 0.044715 * y * y))),
        "mul_5",
    ),
    "quick gelu": (lambda y: y * torch.sigmoid(1.702 * y), "mul_1"),
    "mish": (functional.mish, "mish"),
    "mish, written out": (lambda y: y * torch.tanh(functional.softplus(y)), "mul"),
    "elu": (functional.elu, "elu"),
    "sigmoid": (torch.sigmoid, "sigmoid"),
    "tanh": (torch.tanh, "tanh"),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nothing_stands_inside(name):
    act, last = ACTIVATIONS[name]
    net = Function(lambda m, x: m.b(act(m.bn(m.a(x)))), a=conv(), bn=nn.BatchNorm2d(32), b=conv())
    roads = hold(net, reads={"x": "conv", last: "output"})
    fusions = {row.name: row.fusion for row in roads.fx.plan.layers}
    assert fusions == {"conv": "conv_act", "conv_1": "conv_act"}


@pytest.mark.parametrize("act", [nn.PReLU(32), nn.PReLU(), nn.Softplus(), nn.Softsign()])
def test_what_no_kernel_takes_in_is_a_barrier(act):
    """The convolution writes float, and the next one quantizes for itself."""
    net = Function(lambda m, x: m.b(m.act(m.a(x))), a=conv(), act=act, b=conv())
    last = {"PReLU": "prelu", "Softplus": "softplus", "Softsign": "div"}[type(act).__name__]
    roads = hold(net, image(), reads={"x": "conv", last: "output"})
    (activation,) = (n for n in roads.fx.graph.nodes if last in n.output)
    assert not roads.fx.graph.is_dequantized(activation.input[0])


@pytest.mark.parametrize("act", ["silu", "hardswish, y * relu6(y + 3) / 6", "gelu, five operators"])
def test_an_activation_in_several_operators_is_one_kernel(act):
    """The cover takes every operator of the spelling, so that none is left for another fusion."""
    function, last = ACTIVATIONS[act]
    net = Function(lambda m, x: m.b(function(m.a(x))), a=conv(), b=conv())
    roads = hold(net, reads={"x": "conv", last: "output"})
    for kind in ("Sigmoid", "Mul", "Div", "Erf", "Add", "Clip"):
        for node in roads.fx.graph.of(kind):
            assert roads.fx.graph.dequantized_inputs(node) == 0
