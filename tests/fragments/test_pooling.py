"""Average pools are INT8 on both sides or on neither (tensorrt.md §3.10)."""

import pytest
import torch
from torch import nn

from tests.fragments.roads import Function, conv, hold, image

#: The three spellings of a global pool: as it stands in the file -> the module.
GLOBAL = {
    "global_average_pool": nn.AdaptiveAvgPool2d(1),
    "reduce_mean": Function(lambda m, x: x.mean((2, 3), keepdim=True)),
    "average_pool": nn.AvgPool2d(8),
}


def classifier(pool, *behind):
    return nn.Sequential(conv(), nn.ReLU(), pool, *behind)


@pytest.mark.parametrize("name", GLOBAL)
def test_a_global_pool_between_int8_layers(name):
    net = classifier(GLOBAL[name], nn.Flatten(), nn.Linear(32, 32))
    hold(net, reads={"input": "conv", "relu": name, "flatten": "output"})


def test_a_mean_that_drops_the_axes():
    net = Function(lambda m, x: m.head(m.a(x).relu().mean((-2, -1))), a=conv(),
                   head=nn.Linear(32, 32))  # fmt: skip
    hold(net, reads={"x": "conv", "relu": "reduce_mean", "reduce_mean": "output"})


@pytest.mark.parametrize("name", GLOBAL)
def test_a_pool_in_front_of_a_float_operator_is_float(name):
    hold(
        classifier(GLOBAL[name], nn.Softmax(1)),
        reads={"input": "conv"},
        floats={name: "not every reader of its output runs in INT8"},
    )


@pytest.mark.parametrize("name", GLOBAL)
def test_a_pool_behind_a_float_operator_is_float(name):
    net = nn.Sequential(conv(), nn.PReLU(), GLOBAL[name], nn.Flatten(), nn.Linear(32, 32))
    hold(
        net,
        reads={"input": "conv", "flatten": "output"},
        floats={name: "its input does not come from an INT8 kernel"},
    )


def test_global_pools_stay_float_by_a_knob():
    hold(
        classifier(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 32)),
        reads={"input": "conv", "flatten": "output"},
        floats={"global_average_pool": "--knob global_pool=float"},
        knobs=("global_pool=float",),
    )


@pytest.mark.parametrize(
    ("pool", "name"),
    [
        (nn.AvgPool2d(2), "average_pool"),
        (nn.AvgPool2d(3, 1, 1, count_include_pad=False), "average_pool"),
        (nn.AdaptiveAvgPool2d(4), "adaptive_average_pool"),
    ],
    ids=["2x2", "padded", "adaptive"],
)
def test_a_pool_of_windows(pool, name):
    hold(classifier(pool, conv()), reads={"input": "conv", "relu": name, name: "output"})


def test_a_mean_over_other_axes_is_no_pool():
    net = Function(lambda m, x: m.b(m.a(x).relu() - m.a(x).mean(1, keepdim=True)), a=conv(),
                   b=conv())  # fmt: skip
    hold(net, reads={"x": "conv conv_1", "sub": "output"})


def test_a_max_pool_has_no_quantizer_of_its_own():
    net = nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2), nn.Softmax(1))
    hold(net, reads={"input": "conv"})


def test_a_pool_of_a_volume():
    net = nn.Sequential(nn.Conv3d(32, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1),
                        nn.Flatten(), nn.Linear(32, 32))  # fmt: skip
    reads = {"input": "conv", "relu": "global_average_pool", "flatten": "output"}
    hold(net, torch.randn(2, 32, 4, 4, 4), reads=reads)


def test_one_pool_for_two_readers_of_which_one_is_float():
    def forward(m, x):
        y = nn.functional.avg_pool2d(m.a(x).relu(), 2)
        return m.b(y), torch.softmax(y, 1)

    hold(
        Function(forward, a=conv(), b=conv()),
        image(),
        reads={"x": "conv", "average_pool": "output_0"},
        floats={"average_pool": "not every reader of its output runs in INT8"},
    )
