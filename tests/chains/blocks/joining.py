"""What joins, cuts, repeats and pads."""

import torch
import torch.nn.functional as F

from tests.chains.block import Blocks

BLOCKS = Blocks()


@BLOCKS.block(reads=2)
def concat(draw, shape):
    axis = draw.axis(shape)
    return draw.of(
        lambda x, y: torch.cat([x, y], axis),
        lambda x, y: torch.cat([y, x, y], axis),
        lambda x, y: torch.concat([x, -y], dim=axis),
        lambda x, y: torch.hstack([x, y]),
    )


@BLOCKS.block(2, 3, 4, reads=2)
def stack(draw, shape):
    axis = draw.of(1, -1, 2)
    return draw.of(lambda x, y: torch.stack([x, y], axis), lambda x, y: torch.dstack([x, y, x]))


BLOCKS.functions(
    (2, 3, 4),
    {
        "stacked": lambda x: torch.stack([x, x.relu()], 1),
        "tiled": lambda x: torch.tile(x, (2,)),
    },
)


@BLOCKS.block()
def split(draw, shape):
    axis = draw.axis(shape)
    size = shape[axis if axis < 0 else axis - 1]
    if size < 3:
        return None
    return draw.of(
        lambda x: x.split([1, size - 1], axis),
        lambda x: x.split(size - 1, axis),
        lambda x: x.chunk(2, axis),
        lambda x: x.chunk(3, axis)[:2],
        lambda x: torch.tensor_split(x, 2, axis),
        lambda x: torch.tensor_split(x, (1, 2), axis),
        lambda x: [a + 1 for a in torch.split(x, [2, size - 2], axis)],
    )


@BLOCKS.block(3, 4, 5)
def unbind(draw, shape):
    axis = draw.axis(shape)
    if shape[axis if axis < 0 else axis - 1] > 16:
        return None
    return draw.of(
        lambda x: sum(x.unbind(axis)),
        lambda x: torch.stack(x.unbind(axis)[::-1], axis),
        lambda x: x.unbind(axis)[0],
    )


@BLOCKS.block()
def cut(draw, shape):
    axis = draw.axis(shape)
    size = shape[axis if axis < 0 else axis - 1]
    if size < 3:
        return None
    return draw.of(
        lambda x: x.narrow(axis, 1, size - 1),
        lambda x: x[:, 1:],
        lambda x: x[..., :-1] if shape[-1] > 1 else x * 2,
        lambda x: x[..., ::2],
        lambda x: x.transpose(axis, -1)[..., 1:size:2],
        lambda x: x[:, -2:],
        lambda x: x[:, :100],
    )


@BLOCKS.block()
def roll(draw, shape):
    axis, by = draw.axis(shape), draw.of(1, -2, 3)
    if len(shape) > 2 and draw.of(True, False):
        return lambda x: torch.roll(x, (by, 1), (2, 3))
    return lambda x: torch.roll(x, by, axis)


@BLOCKS.block(2, 3, 4)
def tile(draw, shape):
    ones = [1] * (len(shape) - 1)
    return draw.of(
        lambda x: x.repeat(1, 2, *ones),
        lambda x: torch.tile(x, (2,)),
        lambda x: x.repeat_interleave(2, 1),
        lambda x: x.repeat_interleave(2, dim=-1),
    )


@BLOCKS.block(2, 3, 4)
def tile_by_the_batch(draw, shape):
    w = draw.weight(1, *shape)
    ones = [1] * len(shape)
    return lambda x: w.repeat(x.shape[0], *ones) * x


@BLOCKS.block(2, 3, 4, 5)
def pad(draw, shape):
    value = draw.of(0.0, 0.0, 1.0)
    pads = draw.of((1, 1), (0, 2), (1, 0), (2, -1))
    if shape[-1] < 3:
        pads = (1, 1)
    if len(shape) > 1 and draw.of(True, False):
        pads = (*pads, 1, 0)
    return lambda x: F.pad(x, pads, value=value)


@BLOCKS.block(3, 4)
def pad_with_a_mode(draw, shape):
    mode = draw.of("reflect", "replicate", "circular")
    if min(shape[1:]) < 3:
        return None
    return lambda x: F.pad(x, (2, 1, *(1, 0) * (len(shape) - 2)), mode=mode)
