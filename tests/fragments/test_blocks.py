"""Whole blocks: pre-activation, DenseNet, Inception, CSP, U-Net, ConvNeXt."""

import torch
from torch import cat, nn
from torch.nn import functional
from torch.nn.functional import relu, silu

from tests.fragments.roads import Function, conv, hold, image


def norms(count, channels=32):
    return {f"n{i}": nn.BatchNorm2d(channels) for i in range(count)}


def test_pre_activation():
    """BatchNorm and ReLU in front of the convolution read the sum in float, the Add reads codes."""

    def forward(m, x):
        x = x + m.b(relu(m.n1(m.a(relu(m.n0(x))))))
        x = x + m.d(relu(m.n3(m.c(relu(m.n2(x))))))
        return m.out(relu(m.n4(x)))

    net = Function(forward, a=conv(), b=conv(), c=conv(), d=conv(), out=conv(), **norms(5))
    hold(
        net,
        reads={"relu": "conv", "relu_1": "conv_1", "x": "add", "relu_2": "conv_2",
               "relu_3": "conv_3", "add": "add_1", "relu_4": "output"},
    )  # fmt: skip


def test_densenet_growth():
    """A Concat that a BatchNorm reads moves floats: its inputs keep no scale in common."""

    def forward(m, x):
        x = cat([x, m.a(relu(m.na(x)))], 1)
        x = cat([x, m.b(relu(m.nb(x)))], 1)
        return m.c(relu(m.nc(x)))

    net = Function(forward, a=conv(32, 16), b=conv(48, 16), c=conv(64), na=nn.BatchNorm2d(32),
                   nb=nn.BatchNorm2d(48), nc=nn.BatchNorm2d(64))  # fmt: skip
    hold(net, reads={"relu": "conv", "relu_1": "conv_1", "relu_2": "output"})


def test_dense_growth_without_batch_norm_is_one_scale():
    def forward(m, x):
        y = relu(m.a(x))
        z = relu(m.b(cat([x, y], 1)))
        return m.c(cat([x, y, z], 1))

    net = Function(forward, a=conv(32, 16), b=conv(48, 16), c=conv(64))
    hold(net, reads={"x": "conv", "concat": "conv_1", "concat_1": "output"},
         one_scale=["concat concat_1 x"])  # fmt: skip


def test_inception_branches():
    def forward(m, x):
        x = relu(m.stem(x))
        a = relu(m.a(x))
        b = relu(m.b2(relu(m.b1(x))))
        c = relu(m.c(functional.max_pool2d(x, 3, 1, 1)))
        d = relu(m.d(functional.avg_pool2d(x, 3, 1, 1)))
        return m.out(cat([a, b, c, d], 1))

    ones = {name: conv(32, 16, 1) for name in ("a", "b1", "c", "d")}
    net = Function(forward, stem=conv(), b2=conv(16, 16), out=conv(64, 32, 1), **ones)
    hold(
        net,
        reads={"x": "conv", "relu": "average_pool conv_1 conv_2", "relu_2": "conv_3",
               "max_pool": "conv_4", "average_pool": "conv_5", "concat": "output"},
        one_scale=["max_pool relu"],
    )  # fmt: skip


def test_cross_stage_partial_with_fan_out():
    def forward(m, x):
        a, b = silu(m.a(x)), silu(m.b(x))
        return m.out(cat([a + silu(m.d(silu(m.c(a)))), b], 1))

    ones = {name: conv(32, 16, 1) for name in ("a", "b")}
    net = Function(forward, c=conv(16, 16, 1), d=conv(16, 16), out=conv(), **ones)
    hold(
        net,
        reads={"x": "conv conv_1", "silu": "add conv_2", "silu_2": "conv_3", "silu_3": "add",
               "concat": "output"},
        one_scale=["silu silu_3"],
    )  # fmt: skip


def test_the_c2f_of_a_yolo_is_one_scale():
    """Chunk, Adds behind SiLU and a Concat of everything on the way."""

    def forward(m, x):
        parts = list(silu(m.a(x)).chunk(2, 1))
        parts.append(parts[-1] + silu(m.c(silu(m.b(parts[-1])))))
        return m.out(cat(parts, 1))

    net = Function(forward, a=conv(32, 32, 1), b=conv(16, 16), c=conv(16, 16), out=conv(48, 32, 1))
    hold(
        net,
        reads={"x": "conv", "split_1": "add conv_1", "silu_1": "conv_2", "silu_2": "add",
               "concat": "output"},
        one_scale=["concat silu_2 split_1"],
    )  # fmt: skip


def test_a_u_net_joins_two_resolutions():
    def forward(m, x):
        fine = relu(m.fine(x))
        coarse = relu(m.coarse(functional.max_pool2d(fine, 2)))
        return m.out(cat([fine, functional.interpolate(coarse, scale_factor=2)], 1))

    net = Function(forward, fine=conv(3, 32), coarse=conv(), out=conv(64))
    hold(net, image(3), reads={"x": "conv", "max_pool": "conv_1", "concat": "output"},
         one_scale=["concat max_pool"])  # fmt: skip


def convnext():
    def forward(m, x):
        x = relu(m.stem(x))
        y = m.norm(m.dw(x).permute(0, 2, 3, 1))
        y = m.scale * m.down(functional.gelu(m.up(y)))
        return m.out(x + y.permute(0, 3, 1, 2))

    linears = {"up": nn.Linear(32, 64), "down": nn.Linear(64, 32)}
    return Function(forward, stem=conv(), dw=conv(size=7, groups=32), norm=nn.LayerNorm(32),
                    scale=nn.Parameter(torch.ones(32)), out=conv(), **linears)  # fmt: skip


CONVNEXT = {"x": "conv", "relu": "add conv_1", "conv_1": "transpose", "layer_norm": "linear_matmul",
            "gelu": "linear_1_matmul", "transpose_1": "add", "add": "output"}  # fmt: skip
SUM = ["relu transpose_1"]


def test_a_convolution_in_front_of_layer_norm_has_a_quantizer_behind_it():
    roads = hold(convnext(), reads=CONVNEXT, one_scale=SUM)
    fusions = {row.name: row.fusion for row in roads.fx.plan.layers}
    assert fusions["conv_1"] == "conv_transpose_norm"


def test_the_quantizer_in_front_of_layer_norm_is_a_knob():
    reads = {k: v for k, v in CONVNEXT.items() if k != "conv_1"}
    hold(convnext(), reads=reads, one_scale=SUM, knobs=("conv_before_layer_norm=bare",))
