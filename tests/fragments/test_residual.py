"""The residual Add in all its forms: one input fed by a convolution stays bare, all others come
from a DequantizeLinear (tensorrt.md §3.4 to §3.6)."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import relu, silu

from tests.fragments.roads import Function, conv, hold, image


def test_identity():
    """The skip reuses the quantizer that its value has for the convolution."""

    def block(m, x):
        return m.c(relu(m.b(relu(m.a(x))) + x))

    net = Function(block, a=conv(), b=conv(), c=conv())
    hold(net, reads={"x": "add conv", "relu": "conv_1", "relu_1": "output"})


@pytest.mark.parametrize("form", ["x + y", "y + x", "torch.add", "iadd", "add_"])
def test_every_spelling_is_one_rule(form):
    add = {
        "x + y": lambda x, y: x + y,
        "y + x": lambda x, y: y + x,
        "torch.add": torch.add,
        "iadd": lambda x, y: y.__iadd__(x),
        "add_": lambda x, y: y.add_(x),
    }[form]
    net = Function(lambda m, x: m.b(relu(add(x, m.a(x)))), a=conv(), b=conv())
    hold(net, reads={"x": "add conv", "relu": "output"})


def test_downsample():
    """Of two convolutions the one on the longer path stays bare."""

    def block(m, x):
        return m.c(relu(m.b(relu(m.a(x))) + m.skip(x)))

    net = Function(block, a=conv(32, 64, stride=2), b=conv(64, 64), c=conv(64, 64),
                   skip=conv(32, 64, 1, stride=2))  # fmt: skip
    hold(net, reads={"x": "conv conv_2", "relu": "conv_1", "conv_2": "add", "relu_1": "output"})


def test_two_branches_of_one_length():
    net = Function(lambda m, x: m.c(relu(m.a(x) + m.b(x))), a=conv(), b=conv(), c=conv())
    hold(net, reads={"x": "conv conv_1", "conv": "add", "relu": "output"})


def test_batch_norm_is_folded_in_both_branches():
    def block(m, x):
        return m.c(relu(m.na(m.a(x)) + m.nb(m.b(relu(m.d(x))))))

    norms = {"na": nn.BatchNorm2d(32), "nb": nn.BatchNorm2d(32)}
    net = Function(block, a=conv(), b=conv(), c=conv(), d=conv(), **norms)
    roads = hold(net, reads={"x": "conv conv_1", "conv": "add", "relu": "conv_2",
                             "relu_1": "output"})  # fmt: skip
    assert roads.fx.graph.operators()["BatchNormalization"] == 0


def test_a_sum_of_three_as_in_repvgg():
    """The kernel takes one Add in; the second one runs in INT8 on two inputs of one scale."""

    def block(m, x):
        x = relu(m.stem(x))
        return m.c(relu(m.a(x) + m.b(x) + x))

    net = Function(block, stem=conv(), a=conv(), b=conv(size=1), c=conv())
    hold(
        net,
        reads={"x": "conv", "relu": "add_1 conv_1 conv_2", "conv_1": "add", "add": "add_1",
               "relu_1": "output"},
        one_scale=["add relu"],
    )  # fmt: skip


def test_repvgg_with_a_batch_norm_as_its_third_branch():
    def block(m, x):
        x = relu(m.stem(x))
        return m.c(relu(m.na(m.a(x)) + m.nb(m.b(x)) + m.n(x)))

    norms = {name: nn.BatchNorm2d(32) for name in ("na", "nb", "n")}
    net = Function(block, stem=conv(), a=conv(), b=conv(size=1), c=conv(), **norms)
    hold(
        net,
        reads={"x": "conv", "relu": "conv_1 conv_2", "conv_1": "add", "relu_1": "output"},
        floats={"relu_1": "its input does not come from an INT8 kernel"},  # a BatchNorm alone
    )


def test_behind_silu_both_inputs_have_one_scale():
    """No kernel takes an Add in behind SiLU (tensorrt.md §3.6)."""
    net = Function(lambda m, x: m.c(silu(m.b(silu(m.a(x)))) + x), a=conv(), b=conv(), c=conv())
    hold(
        net,
        reads={"x": "add conv", "silu": "conv_1", "silu_1": "add", "add": "output"},
        one_scale=["silu_1 x"],
    )


def test_behind_silu_in_float_by_a_knob():
    net = Function(lambda m, x: m.c(silu(m.b(silu(m.a(x)))) + x), a=conv(), b=conv(), c=conv())
    hold(
        net,
        reads={"x": "conv", "silu": "conv_1", "add": "output"},
        floats={"add": "--knob unfused_add=float"},
        knobs=("unfused_add=float",),
    )


def test_behind_silu_with_a_reader_in_float():
    """Rule 10: with a float reader the Add is quantized on neither side."""

    def block(m, x):
        y = silu(m.a(x))
        return torch.softmax(y + silu(m.b(y)), 1)

    hold(
        Function(block, a=conv(), b=conv()),
        reads={"x": "conv", "silu": "conv_1"},
        floats={"add": "not every reader of its output runs in INT8"},
    )


def test_an_activation_behind_the_add_that_is_no_clamp():
    net = Function(lambda m, x: m.c(silu(m.b(x) + x)), b=conv(), c=conv())
    hold(net, reads={"x": "add conv", "silu": "output"})


@pytest.mark.parametrize("clamp", [relu, functional.relu6, lambda y: y.clamp(-1, 1)])
def test_a_clamp_behind_the_add_belongs_to_the_kernel(clamp):
    net = Function(lambda m, x: m.c(clamp(m.b(x) + x)), b=conv(), c=conv())
    last = "relu" if clamp is relu else "clip"
    roads = hold(net, reads={"x": "add conv", last: "output"})
    assert [row.fusion for row in roads.fx.plan.layers] == ["conv_add_act", "conv_act"]


def test_no_activation_behind_the_add():
    hold(
        Function(lambda m, x: m.c(m.b(x) + x), b=conv(), c=conv()),
        reads={"x": "add conv", "add": "output"},
    )


def test_a_broadcast_is_no_residual_add():
    def block(m, x):
        return m.b(m.a(x) + x.mean((2, 3), keepdim=True))

    hold(
        Function(block, a=conv(), b=conv()),
        reads={"x": "conv", "add": "output"},
        floats={"reduce_mean": "not every reader of its output runs in INT8"},
    )


def test_a_broadcast_over_the_batch_is_a_residual_add():
    net = Function(lambda m, x: m.b(m.a(x) + x[:1]), a=conv(), b=conv())
    roads = hold(net, reads={"x": "conv", "slice": "add", "add": "output"}, one_scale=["slice x"])
    assert roads.fx.plan.layers[0].fusion == "conv_add_act"


@pytest.mark.parametrize("shape", [(1, 32, 1, 1), (1, 32, 8, 8), ()])
def test_a_constant_is_no_residual_add(shape):
    net = Function(lambda m, x: m.b(m.a(x) + m.k), a=conv(), b=conv(),
                   k=nn.Parameter(torch.randn(shape)))  # fmt: skip
    hold(net, reads={"x": "conv", "add": "output"})


def test_a_bare_branch_has_no_other_reader():
    """A convolution that others read too keeps to itself: the Add takes two quantized inputs."""

    def block(m, x):
        y = m.a(x)
        return m.c(relu(y + x)) + m.b(y)

    hold(
        Function(block, a=conv(), b=conv(), c=conv()),
        reads={"x": "add conv", "conv": "add conv_2", "relu": "conv_1", "conv_2": "output"},
        one_scale=["conv x"],
    )


def test_residual_layer_scale_goes_into_the_convolution_which_takes_the_add_in():
    def block(m, x):
        return m.c(x + m.scale * m.b(relu(m.a(x))))

    net = Function(block, a=conv(), b=conv(), c=conv(), scale=nn.Parameter(torch.ones(32, 1, 1)))
    hold(
        net,
        image(),
        reads={"x": "add conv", "relu": "conv_1", "add": "output"},
    )
