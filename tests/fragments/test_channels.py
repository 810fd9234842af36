"""Depthwise with pointwise, grouped and odd channels, first convolutions (tensorrt.md §3.15)."""

import pytest
from torch import cat, nn

from tests.fragments.roads import Function, conv, hold, image


def separable(cin, cout, width=32):
    """A convolution, then a depthwise and a pointwise one."""
    return nn.Sequential(conv(cin, width), nn.ReLU6(), conv(width, width, groups=width),
                         nn.ReLU6(), conv(width, cout, 1))  # fmt: skip


def test_depthwise_and_pointwise_are_int8():
    hold(separable(32, 32), reads={"input": "conv", "clip": "conv_1", "clip_1": "output"})


NARROW = "a depthwise convolution of fewer than 32 channels: weight [16, 1, 3, 3]"
PAIRED = "the depthwise convolution in front of it stays in float, and both run alike"


def test_a_narrow_depthwise_convolution_takes_its_pointwise_one_along():
    hold(
        separable(32, 32, 16),
        reads={"input": "conv"},
        floats={"conv_1": NARROW, "conv_2": PAIRED},
    )


def test_a_pointwise_convolution_in_float_takes_its_depthwise_one_along():
    hold(
        separable(32, 8),
        reads={"input": "conv"},
        floats={
            "conv_1": "it is paired with conv_2, which stays in float",
            "conv_2": "C or K below 16: weight [8, 32, 1, 1]",
        },
    )


def test_the_width_from_which_on_they_are_int8_is_a_knob():
    hold(
        separable(32, 32, 16),
        reads={"input": "conv", "clip": "conv_1", "clip_1": "output"},
        knobs=("depthwise_channels=16",),
    )


def test_several_pointwise_convolutions_behind_one_depthwise():
    def forward(m, x):
        y = m.act(m.dw(m.act(m.a(x))))
        return m.c(cat([m.act(m.p(y)), m.act(m.q(y))], 1))

    net = Function(forward, a=conv(), dw=conv(groups=32), p=conv(size=1), q=conv(size=1),
                   c=conv(64), act=nn.ReLU())  # fmt: skip
    hold(net, reads={"x": "conv", "relu": "conv_1", "relu_1": "conv_2 conv_3", "concat": "output"})


def test_an_inverted_residual():
    def forward(m, x):
        return m.out(x + m.project(m.act(m.dw(m.act(m.expand(x))))))

    net = Function(forward, expand=conv(32, 64, 1), dw=conv(64, 64, groups=64), act=nn.ReLU6(),
                   project=conv(64, 32, 1), out=conv())  # fmt: skip
    hold(net, reads={"x": "add conv", "clip": "conv_1", "clip_1": "conv_2", "add": "output"})


def test_grouped_convolutions_want_groups_of_four():
    four = nn.Sequential(conv(), nn.ReLU(), conv(groups=4), nn.ReLU(), conv(size=1))
    hold(four, reads={"input": "conv", "relu": "conv_1", "relu_1": "output"})
    two = nn.Sequential(conv(24, 24), nn.ReLU(), conv(24, 24, groups=12), nn.ReLU(), conv(24, 24))
    hold(
        two,
        image(24),
        reads={"input": "conv", "relu_1": "output"},
        floats={
            "conv_1": "channels per group are no multiple of 4: weight [24, 2, 3, 3], 12 groups"
        },
    )


def test_odd_channels_are_padded_by_the_kernel():
    net = nn.Sequential(conv(17, 33), nn.ReLU(), conv(33, 17))
    hold(net, image(17), reads={"input": "conv", "relu": "output"})


def test_few_channels_stay_in_float():
    net = nn.Sequential(conv(), nn.ReLU(), conv(32, 12), nn.ReLU(), conv(12, 32))
    hold(
        net,
        reads={"input": "conv"},
        floats={
            "conv_1": "C or K below 16: weight [12, 32, 3, 3]",
            "conv_2": "C or K below 16: weight [32, 12, 3, 3]",
        },
    )


def test_a_square_first_convolution_of_few_channels_is_int8():
    net = nn.Sequential(conv(3, 32, 7), nn.ReLU(), conv())
    hold(net, image(3), reads={"input": "conv", "relu": "output"})


def test_normalisation_in_front_leaves_it_the_first_convolution():
    net = Function(lambda m, x: m.b(m.a((x - 0.5) / 0.25).relu()), a=conv(3, 32, 7), b=conv())
    hold(net, image(3), reads={"div": "conv", "relu": "output"})


def test_the_focus_of_a_yolo_is_a_first_convolution():
    def forward(m, x):
        quarters = [x[..., i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return m.b(m.a(cat(quarters, 1)).relu())

    hold(Function(forward, a=conv(12, 32), b=conv()), image(3),
         reads={"concat": "conv", "relu": "output"})  # fmt: skip


@pytest.mark.parametrize(
    ("first", "shape"),
    [(conv(3, 20), "[20, 3, 3, 3]"), (nn.Conv2d(3, 32, (1, 3)), "[32, 3, 1, 3]")],
    ids=["K % 8", "not square"],
)
def test_other_first_convolutions_stay_in_float(first, shape):
    net = nn.Sequential(first, nn.ReLU(), conv(first.out_channels, 32))
    hold(
        net,
        image(3),
        reads={"relu": "output"},
        floats={"conv": f"C or K below 16: weight {shape}"},
    )


def test_a_convolution_of_a_constant_is_left_to_folding():
    """Nothing of it depends on the input."""

    def forward(m, x):
        return m.b(m.a(x).relu() + m.p(m.map))

    net = Function(forward, a=conv(), b=conv(), p=conv(size=1), map=nn.Parameter(image()[:1]))
    hold(
        net,
        reads={"x": "conv", "add": "output"},
        floats={"conv_1": "its data are constant: it is computed once"},
    )
