"""Squeeze-and-excitation: the map, its gates and the pooled input are INT8 (tensorrt.md §3.7)."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import relu, silu

from tests.fragments.roads import Function, conv, hold

POOLS = {
    "reduce_mean": lambda y: y.mean((2, 3), keepdim=True),
    "global_average_pool": lambda y: functional.adaptive_avg_pool2d(y, 1),
    "average_pool": lambda y: functional.avg_pool2d(y, 8),
}
GATES = {"sigmoid": torch.sigmoid, "hardsigmoid": functional.hardsigmoid}


def block(act, pool, gate, width=16, swap=False):
    def forward(m, x):
        y = act(m.a(x))
        g = gate(m.up(relu(m.down(pool(y)))))
        return m.b(g * y if swap else y * g)

    return Function(forward, a=conv(), down=conv(32, width, 1), up=conv(width, 32, 1), b=conv())


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("gate", GATES)
def test_the_map_its_gates_and_what_is_pooled_are_quantized(pool, gate):
    hold(
        block(relu, POOLS[pool], GATES[gate], swap=gate == "sigmoid"),
        reads={"x": "conv", "relu": " ".join(sorted([pool, "mul"])), pool: "conv_1",
               "relu_1": "conv_2", gate: "mul", "mul": "output"},
    )  # fmt: skip


def test_it_is_no_silu():
    """Its two inputs come from different tensors; the SiLU in front stays one activation."""
    roads = hold(
        block(silu, POOLS["reduce_mean"], torch.sigmoid),
        reads={"x": "conv", "silu": "mul reduce_mean", "reduce_mean": "conv_1", "relu": "conv_2",
               "sigmoid": "mul", "mul": "output"},
    )  # fmt: skip
    fusions = {row.name: row.fusion for row in roads.fx.plan.layers}
    assert fusions["mul"] == "scale_channels"
    assert fusions["conv"] == "conv_act"


def test_gates_of_narrow_layers_are_quantized_all_the_same():
    """Convolutions of 8 channels stay float, but what they give is one number a channel."""
    net = block(relu, POOLS["global_average_pool"], torch.sigmoid, width=8)
    hold(
        net,
        reads={"x": "conv", "relu": "global_average_pool mul", "sigmoid": "mul", "mul": "output"},
        floats={"conv_1": "C or K below 16", "conv_2": "C or K below 16"},
    )


def test_an_excluded_mul_takes_the_pool_along():
    net = block(relu, POOLS["global_average_pool"], torch.sigmoid, width=8)
    hold(
        net,
        reads={"x": "conv", "mul": "output"},
        floats={
            "conv_1": "C or K below 16",
            "conv_2": "C or K below 16",
            "global_average_pool": "not every reader of its output runs in INT8",
            "mul": "excluded by --exclude nn.mul",
        },
        exclude=("nn.mul",),
    )


def test_gates_from_linears():
    def forward(m, x):
        y = relu(m.a(x))
        g = torch.sigmoid(m.up(relu(m.down(y.mean((2, 3)))))).view(-1, 32, 1, 1)
        return m.b(y * g)

    net = Function(forward, a=conv(), down=nn.Linear(32, 16), up=nn.Linear(16, 32), b=conv())
    hold(
        net,
        reads={"x": "conv", "relu": "mul reduce_mean", "reduce_mean": "linear",
               "relu_1": "linear_1", "reshape": "mul", "mul": "output"},
    )  # fmt: skip


def test_a_map_in_float_keeps_the_mul_in_float():
    def forward(m, x):
        y = m.act(m.a(x))
        return m.b(y * torch.sigmoid(m.up(relu(m.down(y.mean((2, 3), keepdim=True))))))

    net = Function(forward, a=conv(), act=nn.PReLU(), down=conv(32, 16, 1), up=conv(16, 32, 1),
                   b=conv())  # fmt: skip
    hold(
        net,
        reads={"x": "conv", "reduce_mean": "conv_1", "relu": "conv_2", "mul": "output"},
        floats={
            "reduce_mean": "its input does not come from an INT8 kernel",
            "mul": "its input does not come from an INT8 kernel",
        },
    )
