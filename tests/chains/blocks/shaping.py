"""What gives elements another shape or order, and computes nothing."""

import torch
from torch import nn

from tests.chains.block import Blocks, factor_of

BLOCKS = Blocks()


@BLOCKS.block(3, 4, 5)
def flatten(draw, shape):
    return draw.of(
        lambda x: x.flatten(1),
        lambda x: x.flatten(2) if x.ndim > 3 else x.flatten(1),
        lambda x: x.flatten(-2),
        lambda x: x.reshape(x.shape[0], -1),
        lambda x: x.view(x.size(0), -1),
        nn.Flatten(),
    )


@BLOCKS.block(2, 3, 4)
def unflatten(draw, shape):
    parts = factor_of(shape[-1], *draw.of((4, 2), (2, 4), (8, 2)))
    return draw.of(
        lambda x: x.unflatten(-1, (parts, -1)),
        lambda x: x.reshape(*x.shape[:-1], parts, -1),
        lambda x: x.view(*x.shape[:-1], -1, parts),
    )


@BLOCKS.block(3, 4)
def reshape(draw, shape):
    c, *rest = shape
    parts = factor_of(c, 2, 4)
    return draw.of(
        lambda x: x.reshape(-1, parts, c // parts, *rest).flatten(2, 3),
        lambda x: x.reshape(x.shape[0], *reversed(shape)),
        lambda x: x.flatten(1).reshape_as(x) * 2,
        lambda x: x.flatten(1).view_as(x) + x,
        lambda x: x.reshape(x.shape[0] * c, -1).view(x.shape[0], c, -1),
        lambda x: torch.reshape(x, (-1, *shape)),
    )


BLOCKS.functions(
    (3, 4),
    {
        "reshape as": lambda x: x.flatten(1).reshape_as(x) * 2,
    },
)


@BLOCKS.block(3, 4, 5)
def transpose(draw, shape):
    order = list(range(1, len(shape) + 1))
    draw.random.shuffle(order)
    return draw.of(
        lambda x: x.permute(0, *order),
        lambda x: x.transpose(-1, -2),
        lambda x: x.transpose(1, -1),
        lambda x: x.swapaxes(1, 2).contiguous(),
        lambda x: x.movedim(1, -1),
        lambda x: x.mT,
    )


@BLOCKS.block(2, 3, 4)
def unsqueeze(draw, shape):
    axis = draw.of(1, -1, 2)
    return draw.of(lambda x: x.unsqueeze(axis), lambda x: x[:, None], lambda x: x[..., None])


@BLOCKS.block(3, 4, 5)
def squeeze(draw, shape):
    """An axis of one element that is made in front."""
    axis = draw.axis(shape)
    ones = [i + 1 for i, n in enumerate(shape) if n == 1]
    return draw.of(
        lambda x: x.mean(axis, keepdim=True).squeeze(axis),
        lambda x: x.unsqueeze(1).squeeze(1),
        lambda x: (
            x.squeeze(ones) if ones and len(ones) < len(shape) else x.unsqueeze(-1).squeeze(-1)
        ),
    )


@BLOCKS.block(2, 3, 4)
def expand(draw, shape):
    w = draw.weight(1, *shape)
    return draw.of(
        lambda x: x.unsqueeze(1).expand(-1, 3, *[-1] * len(shape)),
        lambda x: torch.cat([w.expand(x.shape[0], *shape), x], 1),
        lambda x: x + w.expand_as(x),
        lambda x: x.mean(-1, keepdim=True).expand_as(x) * x,
        lambda x: x.amax(1, keepdim=True).expand(x.shape),
        lambda x: torch.broadcast_to(x.mean(1, keepdim=True), x.shape),
    )


BLOCKS.functions(
    (3, 4),
    {
        "expand as": lambda x: x.mean(-1, keepdim=True).expand_as(x) + x,
        "expand by the batch": lambda x: (
            torch.ones(1, 1).expand(x.shape[0], 3).sum(1)[(...,) + (None,) * (x.ndim - 1)] * x
        ),
    },
)
