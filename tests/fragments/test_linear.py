"""Linear as Gemm, as MatMul and Add, on matrices and on tokens; Q, K and V read one quantizer."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.fragments.roads import Function, conv, hold, image

TOKENS = (2, 5, 32)


def axis_of(file, kind):
    """The axis of the scales of each weight of a kind of operator."""
    dequantizers = (file.graph.producer[n.input[1]] for n in file.graph.of(kind))
    return [{a.name: a.i for a in d.attribute}["axis"] for d in dequantizers]


def test_a_linear_on_a_matrix_is_a_gemm():
    net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32))
    roads = hold(net, torch.randn(4, 32), reads={"input": "linear", "relu": "output"})
    assert axis_of(roads.fx, "Gemm") == [0, 0]


def test_a_linear_on_tokens_is_a_matmul_and_an_add():
    net = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
    reads = {"input": "linear_matmul", "gelu": "linear_1_matmul"}
    roads = hold(net, torch.randn(TOKENS), reads=reads)
    assert axis_of(roads.fx, "MatMul") == [1, 1]


def test_matmul_and_add_of_parameters():
    def forward(m, x):
        return torch.relu(x @ m.w + m.b) @ m.v

    net = Function(forward, w=nn.Parameter(torch.randn(32, 64)), b=nn.Parameter(torch.randn(64)),
                   v=nn.Parameter(torch.randn(64, 32)))  # fmt: skip
    roads = hold(net, torch.randn(TOKENS), reads={"x": "matmul", "relu": "output"})
    assert axis_of(roads.fx, "MatMul") == [1, 1]


@pytest.mark.parametrize("transposed", [False, True])
def test_a_general_product_has_its_channels_where_the_weight_stores_them(transposed):
    shape = (64, 32) if transposed else (32, 64)
    net = Function(lambda m, x: torch.addmm(m.b, x, m.w.t() if transposed else m.w),
                   w=nn.Parameter(torch.randn(shape)), b=nn.Parameter(torch.randn(64)))  # fmt: skip
    roads = hold(net, torch.randn(4, 32), reads={"x": "output"})
    assert axis_of(roads.fx, "Gemm") == [0 if transposed else 1]


def test_a_narrow_classifier_stays_in_float():
    net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10))
    hold(
        net,
        torch.randn(4, 32),
        reads={"input": "linear"},
        floats={"linear_1": "C or K below 16: weight [10, 64]"},
    )


def test_queries_keys_and_values_read_one_quantizer():
    net = Function(lambda m, x: (m.q(x), m.k(x), m.v(x)),
                   **{name: nn.Linear(32, 32) for name in "qkv"})  # fmt: skip
    roads = hold(
        net,
        torch.randn(TOKENS),
        reads={"x": "linear_1_matmul linear_2_matmul linear_matmul"},
    )
    assert roads.fx.graph.operators()["QuantizeLinear"] == 1


def test_a_gated_feed_forward():
    def forward(m, x):
        return m.down(functional.silu(m.gate(x)) * m.up(x))

    net = Function(forward, gate=nn.Linear(32, 64), up=nn.Linear(32, 64), down=nn.Linear(64, 32))
    hold(net, torch.randn(TOKENS), reads={"x": "linear_1_matmul linear_matmul",
                                          "mul": "linear_2_matmul"})  # fmt: skip


def test_batch_norm_behind_a_linear_is_folded():
    net = nn.Sequential(nn.Linear(32, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32))
    roads = hold(net, torch.randn(4, 32), reads={"input": "linear", "relu": "output"})
    assert roads.fx.graph.operators()["BatchNormalization"] == 0


def test_a_flattened_map():
    net = nn.Sequential(conv(), nn.ReLU(), nn.Flatten(), nn.Linear(2048, 32))
    hold(net, image(), reads={"input": "conv", "flatten": "output"})


RESIDUAL = Function(
    lambda m, x: m.c(m.norm(x + m.b(functional.gelu(m.a(x))))),
    a=nn.Linear(32, 64), b=nn.Linear(64, 32), c=nn.Linear(32, 32), norm=nn.LayerNorm(32),
)  # fmt: skip
LINEARS = {"x": "linear_matmul", "gelu": "linear_1_matmul", "layer_norm": "linear_2_matmul"}


def test_the_residual_stream_stays_float():
    floats = {"add": "transformer residual Adds stay float"}
    hold(RESIDUAL, torch.randn(TOKENS), reads=LINEARS, floats=floats)


def test_the_residual_stream_in_int8_by_a_knob():
    """The matrix product takes the Add in, as a convolution does; the skip is read as codes."""
    reads = {**LINEARS, "x": "add linear_matmul"}
    hold(RESIDUAL, torch.randn(TOKENS), reads=reads, knobs=("residual_stream=int8",))
