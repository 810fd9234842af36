"""Attention and recurrent layers."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.chains.block import Blocks

BLOCKS = Blocks()


@BLOCKS.block(3, is_weighted=True)
def self_attention(draw, shape):
    length, c = shape
    if c % 4:
        return None
    qkv, out = draw.part(nn.Linear(c, 3 * c)), draw.part(nn.Linear(c, c))
    mask = torch.randn(length, length)
    shut = torch.rand(length, length) > 0.3
    kind = draw.of("plain", "causal", "mask", "truth", "scale", "by hand")

    def step(x):
        q, k, v = qkv(x).view(x.shape[0], -1, 3, 4, c // 4).permute(2, 0, 3, 1, 4).unbind(0)
        if kind == "by hand":
            y = ((q @ k.transpose(-2, -1)) * (c // 4) ** -0.5).softmax(-1) @ v
        elif kind == "causal":
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        elif kind == "mask":
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        elif kind == "truth":
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=shut)
        else:
            y = F.scaled_dot_product_attention(q, k, v, scale=0.3 if kind == "scale" else None)
        return out(y.transpose(1, 2).reshape(x.shape[0], -1, c))

    return step


@BLOCKS.block(3)
def attention_alone(draw, shape):
    return lambda x: F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None])[:, 0]


@BLOCKS.block(3, reads=2, is_weighted=True)
def multihead_attention(draw, shape):
    c = shape[1]
    if c % 4:
        return None
    layer = draw.part(nn.MultiheadAttention(c, 4, batch_first=True))
    weights = draw.of(True, False)
    return lambda x, y: layer(x, y, y, need_weights=weights)[0]


@BLOCKS.block(3, is_weighted=True)
def encoder_layer(draw, shape):
    c = shape[1]
    if c % 4:
        return None
    first = draw.of(True, False)
    return draw.part(nn.TransformerEncoderLayer(c, 4, 24, batch_first=True, norm_first=first))


@BLOCKS.block(4, is_weighted=True)
def attention_over_pixels(draw, shape):
    c, height, width = shape
    q, k, v = (draw.part(nn.Conv2d(c, 8, 1)) for _ in range(3))

    def step(x):
        a = q(x).flatten(2).transpose(1, 2) @ k(x).flatten(2)
        y = v(x).flatten(2) @ a.softmax(-1).transpose(1, 2)
        return y.view(-1, 8, height, width)

    return step


@BLOCKS.block(3)
def lstm(draw, shape):
    layers, both = draw.of(1, 2), draw.of(True, False)
    layer = draw.part(
        nn.LSTM(
            shape[1], 6, layers, batch_first=True, bidirectional=both, bias=draw.of(True, False)
        )
    )
    return draw.of(lambda x: layer(x)[0], lambda x: layer(x)[1][0][-1])


@BLOCKS.block(3)
def gru(draw, shape):
    layer = draw.part(nn.GRU(shape[1], 6, batch_first=True, bidirectional=draw.of(True, False)))
    return lambda x: layer(x)[0]


@BLOCKS.block(3)
def recurrent(draw, shape):
    layer = draw.part(nn.RNN(shape[1], 6, batch_first=True, nonlinearity=draw.of("tanh", "relu")))
    return lambda x: layer(x)[0]


@BLOCKS.block(2)
def lstm_cell(draw, shape):
    layer = draw.part(nn.LSTMCell(shape[0], 8))
    return lambda x: layer(x)
