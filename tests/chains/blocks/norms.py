"""Normalizations."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.chains.block import Blocks, factor_of
from tests.chains.blocks.weighted import CONV, batch_norm

BLOCKS = Blocks()
BATCH = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
INSTANCE = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}


@BLOCKS.block()
def batch_normalization(draw, shape):
    layer = BATCH[len(shape) + 1](shape[0], affine=draw.of(True, True, False))
    return draw.part(batch_norm(layer))


@BLOCKS.block(3, 4, 5, is_weighted=True)
def convolution_and_batch_norm(draw, shape):
    rank, out = len(shape) + 1, draw.of(8, 16)
    conv = CONV[rank](shape[0], out, 3, padding=1, bias=draw.of(True, False))
    norm = batch_norm(BATCH[rank](out))
    act = draw.of(nn.ReLU(), nn.SiLU(), nn.Identity(), nn.LeakyReLU(0.1))
    return draw.part(nn.Sequential(conv, norm, act))


@BLOCKS.block(2, 3, 4)
def layer_normalization(draw, shape):
    axes = draw.of(shape[-1:], shape[-1:], shape)
    layer = nn.LayerNorm(axes, elementwise_affine=draw.of(True, True, False))
    return draw.part(_random(layer))


@BLOCKS.block(4)
def layer_norm_of_channels(draw, shape):
    """As ConvNeXt has it: behind a transposition."""
    layer = draw.part(_random(nn.LayerNorm(shape[0])))
    return lambda x: layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@BLOCKS.block(3, 4, 5)
def instance_normalization(draw, shape):
    if shape[1:] == (1,) * len(shape[1:]):
        return None
    return draw.part(_random(INSTANCE[len(shape) + 1](shape[0], affine=draw.of(True, False))))


@BLOCKS.block(3, 4, 5)
def group_normalization(draw, shape):
    groups = draw.of(1, factor_of(shape[0], 4, 2), shape[0])
    if shape[0] == groups and shape[1:] == (1,) * len(shape[1:]):
        return None
    return draw.part(_random(nn.GroupNorm(groups, shape[0], affine=draw.of(True, True, False))))


@BLOCKS.block(2, 3)
def rms_normalization(draw, shape):
    return draw.part(nn.RMSNorm(shape[-1], eps=1e-5))


@BLOCKS.block(2, 3)
def rms_norm_by_hand(draw, shape):
    w = draw.weight(shape[-1])
    return lambda x: w * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5))


@BLOCKS.block(4)
def local_response_normalization(draw, shape):
    return draw.part(nn.LocalResponseNorm(3))


@BLOCKS.block()
def unit_length(draw, shape):
    axis, p = draw.axis(shape), draw.of(2.0, 2.0, 1.0)
    return lambda x: F.normalize(x, p, axis)


@BLOCKS.block(2, 3, 4)
def standardized(draw, shape):
    axis = draw.axis(shape)
    return lambda x: (
        (x - x.mean(axis, keepdim=True)) / (x.std(axis, keepdim=True, correction=0) + 0.1)
    )


def _random(layer):
    if layer.weight is not None:
        nn.init.uniform_(layer.weight, 0.5, 1.5)
        nn.init.normal_(layer.bias, 0, 0.2)
    return layer
