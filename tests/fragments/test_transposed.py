"""Transposed convolutions: INT8 for TensorRT, in float for TensorRT-RTX."""

import numpy as np
import pytest
from torch import nn

from tests.fragments.roads import Function, both, conv, hold, image, same_numbers, shown

#: name -> the layer, and its BatchNorm over the output channel
LAYERS = {
    "plain": nn.ConvTranspose2d(32, 32, 2, 2),
    "other channels": nn.ConvTranspose2d(32, 48, 2, 2),
    "output padding": nn.ConvTranspose2d(32, 48, 3, 2, padding=1, output_padding=1),
    "grouped": nn.ConvTranspose2d(32, 48, 2, 2, groups=2),
    "depthwise": nn.ConvTranspose2d(32, 32, 4, 2, padding=1, groups=32, bias=False),
    "narrow": nn.ConvTranspose2d(32, 8, 2, 2),
}
INT8 = ("plain", "other channels", "output padding")
REASONS = {
    "grouped": "grouped transposed convolutions have no INT8 kernel",
    "depthwise": "grouped transposed convolutions have no INT8 kernel",
    "narrow": "too few channels for INT8: weight [32, 8, 2, 2]",
}


def net(name):
    up = LAYERS[name]
    return nn.Sequential(conv(), nn.ReLU(), up, nn.BatchNorm2d(up.out_channels), nn.ReLU(),
                         conv(up.out_channels, 32, 1))  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_tensorrt(name):
    """BatchNorm is folded over the output channel, group by group, and scales run along axis 1."""
    roads = both(net(name), image(), target="tensorrt-11")
    for file in (roads.fx, roads.onnx):
        assert file.graph.operators()["BatchNormalization"] == 0
        if name in INT8:
            assert shown(file.reads) == {"input": "conv", "relu": "conv_transpose",
                                         "relu_1": "output"}  # fmt: skip
            (node,) = file.graph.of("ConvTranspose")
            dequantize = file.graph.producer[node.input[1]]
            channels = LAYERS[name].out_channels
            assert file.graph.constants[dequantize.input[1]].shape == (channels,)
            assert {a.name: a.i for a in dequantize.attribute}["axis"] == 1
        else:
            assert file.reasons["conv_transpose"] == REASONS[name]
    same_numbers(roads)


@pytest.mark.parametrize("name", ["plain", "output padding", "grouped"])
def test_tensorrt_rtx_runs_it_in_float(name):
    reason = REASONS.get(name, "TensorRT-RTX has no INT8 kernel for transposed convolutions")
    hold(net(name), reads={"input": "conv", "relu_1": "output"}, floats={"conv_transpose": reason})


def test_tensorrt_8_takes_one_scale_for_the_tensor():
    roads = both(net("plain"), image(), target="tensorrt-8.6")
    for file in (roads.fx, roads.onnx):
        (node,) = file.graph.of("ConvTranspose")
        dequantize = file.graph.producer[node.input[1]]
        assert np.ndim(file.graph.constants[dequantize.input[1]]) == 0
    same_numbers(roads)


def test_a_residual_add_behind_it_is_an_add_of_its_own():
    def forward(m, x, y):
        return m.out((m.up(x) + m.skip(y).relu()).relu())

    up = nn.ConvTranspose2d(32, 32, 2, 2)
    net = Function(forward, up=up, skip=conv(), out=conv())
    roads = both(net, image(size=4), image(), target="tensorrt-11")
    for file in (roads.fx, roads.onnx):
        assert shown(file.reads) == {"x": "conv_transpose", "more_0": "conv", "relu": "add",
                                     "conv_transpose": "add", "relu_1": "output"}  # fmt: skip
        assert file.one_scale == {"conv_transpose relu"}
    same_numbers(roads)
