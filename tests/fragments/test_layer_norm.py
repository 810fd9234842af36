"""LayerNorm stays float, as one operator or written out (tensorrt.md §3.14)."""

import torch
from torch import nn

from tests.fragments.roads import Function, conv, hold, image


def scale_and_shift():
    return {"g": nn.Parameter(torch.ones(32)), "h": nn.Parameter(torch.zeros(32))}


def test_as_one_operator():
    net = Function(lambda m, x: m.b(m.norm(m.a(x))), a=nn.Linear(32, 32), b=nn.Linear(32, 32),
                   norm=nn.LayerNorm(32))  # fmt: skip
    hold(net, torch.randn(2, 5, 32), reads={"x": "linear_matmul", "layer_norm": "linear_1_matmul"})


def test_written_out():
    """Nothing inside is quantized: neither its means nor its Adds are those of a feature map."""

    def forward(m, x):
        y = m.a(x)
        centred = y - y.mean(-1, keepdim=True)
        variance = (centred * centred).mean(-1, keepdim=True)
        return m.b(centred / torch.sqrt(variance + 1e-5) * m.g + m.h)

    net = Function(forward, a=nn.Linear(32, 32), b=nn.Linear(32, 32), **scale_and_shift())
    hold(net, torch.randn(2, 5, 32), reads={"x": "linear_matmul", "add_1": "linear_1_matmul"})


def test_over_the_channels_of_a_map():
    def forward(m, x):
        y = m.a(x)
        mean = y.mean(1, keepdim=True)
        variance = (y - mean).pow(2).mean(1, keepdim=True)
        y = (y - mean) / torch.sqrt(variance + 1e-6)
        return m.b(m.g[:, None, None] * y + m.h[:, None, None])

    net = Function(forward, a=conv(), b=conv(), **scale_and_shift())
    hold(net, image(), reads={"x": "conv", "add_1": "output"})


def test_root_mean_square():
    def forward(m, x):
        y = m.a(x)
        return m.b(y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6) * m.g)

    net = Function(forward, a=nn.Linear(32, 32), b=nn.Linear(32, 32), g=scale_and_shift()["g"])
    hold(net, torch.randn(2, 5, 32), reads={"x": "linear_matmul", "mul_1": "linear_1_matmul"})


def test_group_and_instance_norm():
    net = nn.Sequential(conv(), nn.GroupNorm(4, 32), nn.ReLU(), conv(), nn.InstanceNorm2d(32),
                        conv())  # fmt: skip
    hold(net, reads={"input": "conv", "relu": "conv_1", "instance_norm": "output"})
