"""1-D and 3-D convolutions follow the same rules."""

import pytest
import torch
from torch import cat, nn
from torch.nn import functional
from torch.nn.functional import relu

from tests.fragments.roads import Function, conv, hold

CONV = {1: nn.Conv1d, 3: nn.Conv3d}
NORM = {1: nn.BatchNorm1d, 3: nn.BatchNorm3d}
INPUT = {1: (2, 32, 16), 3: (2, 32, 4, 4, 4)}


def flat(rank, cin=32, cout=32):
    return CONV[rank](cin, cout, 3, padding=1)


@pytest.mark.parametrize("rank", [1, 3])
def test_convolution_batch_norm_and_activation(rank):
    net = nn.Sequential(flat(rank), NORM[rank](32), nn.SiLU(), flat(rank))
    hold(net, torch.randn(INPUT[rank]), reads={"input": "conv", "silu": "output"})


@pytest.mark.parametrize("rank", [1, 3])
def test_a_residual_block(rank):
    net = Function(lambda m, x: m.b(relu(m.a(x) + x)), a=flat(rank), b=flat(rank))
    hold(net, torch.randn(INPUT[rank]), reads={"x": "add conv", "relu": "output"})


@pytest.mark.parametrize("rank", [1, 3])
def test_a_concat(rank):
    def forward(m, x):
        y = relu(m.a(x))
        return m.c(cat([y, relu(m.b(y))], 1))

    net = Function(forward, a=flat(rank), b=flat(rank), c=flat(rank, 64))
    hold(net, torch.randn(INPUT[rank]), reads={"x": "conv", "relu": "conv_1", "concat": "output"},
         one_scale=["concat relu"])  # fmt: skip


def test_a_volume_that_is_pooled():
    net = nn.Sequential(flat(3), nn.ReLU(), nn.MaxPool3d(2), flat(3))
    hold(net, torch.randn(INPUT[3]), reads={"input": "conv", "max_pool": "output"})


def test_the_first_convolution_of_a_volume_stays_in_float():
    net = nn.Sequential(flat(3, 3), nn.ReLU(), flat(3))
    hold(net, torch.randn(2, 3, 4, 4, 4), reads={"relu": "output"},
         floats={"conv": "C or K below 16: weight [32, 3, 3, 3, 3]"})  # fmt: skip


def test_a_map_that_becomes_a_sequence():
    def forward(m, x):
        y = relu(m.a(x)).flatten(2).transpose(1, 2)
        return m.out(functional.gelu(m.up(y)))

    net = Function(forward, a=conv(), up=nn.Linear(32, 64), out=nn.Linear(64, 32))
    hold(net, torch.randn(2, 32, 8, 8),
         reads={"x": "conv", "transpose": "linear_matmul", "gelu": "linear_1_matmul"})  # fmt: skip
