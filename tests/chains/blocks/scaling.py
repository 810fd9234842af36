"""What trades channels for pixels, and resizes."""

import torch.nn.functional as F
from torch import nn

from tests.chains.block import Blocks, factor_of

BLOCKS = Blocks()


@BLOCKS.block(4)
def pixel_shuffle(draw, shape):
    if shape[0] % 4:
        return None
    return lambda x: F.pixel_shuffle(x, 2)


@BLOCKS.block(4)
def pixel_unshuffle(draw, shape):
    if shape[1] % 2 or shape[2] % 2:
        return None
    return lambda x: F.pixel_unshuffle(x, 2)


@BLOCKS.block(4)
def channel_shuffle(draw, shape):
    c, height, width = shape
    groups = factor_of(c, 4, 2)
    return draw.of(
        lambda x: F.channel_shuffle(x, groups),
        lambda x: x.view(-1, groups, c // groups, height, width).transpose(1, 2).flatten(1, 2),
    )


@BLOCKS.block(4)
def windows(draw, shape):
    """Cut into windows and put together again, as Swin does."""
    c, height, width = shape
    if height % 2 or width % 2:
        return None
    w = draw.part(nn.Linear(c, c))

    def step(x):
        x = x.permute(0, 2, 3, 1).view(-1, height // 2, 2, width // 2, 2, c)
        x = w(x.permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c))
        x = x.view(-1, height // 2, width // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(-1, height, width, c).permute(0, 3, 1, 2)

    return step


@BLOCKS.block(3, 4, 5)
def resize(draw, shape):
    scale = draw.of(2, 2, 1.5, 0.5)
    if max(shape[1:]) > 16 or min(shape[1:]) < 4:
        return None
    linear = {2: "linear", 3: "bilinear", 4: "trilinear"}[len(shape)]
    size = tuple(n + draw.of(1, 3, n) for n in shape[1:])
    corners = draw.of(True, False)
    return draw.of(
        lambda x: F.interpolate(x, scale_factor=scale),
        lambda x: F.interpolate(x, size),
        lambda x: F.interpolate(x, scale_factor=scale, mode="nearest-exact"),
        lambda x: F.interpolate(x, scale_factor=scale, mode=linear, align_corners=corners),
        lambda x: F.interpolate(x, size, mode=linear, align_corners=corners),
    )


BLOCKS.functions(
    (3, 4),
    {
        "upsample": lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
    },
)


@BLOCKS.block(4)
def bicubic(draw, shape):
    if max(shape[1:]) > 16:
        return None
    corners = draw.of(True, False)
    return lambda x: F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=corners)


@BLOCKS.block(4)
def antialiased(draw, shape):
    if max(shape[1:]) > 16:
        return None
    scale, mode, corners = (
        draw.of(2, 1.5, 0.5),
        draw.of("bilinear", "bicubic"),
        draw.of(True, False),
    )
    return lambda x: F.interpolate(
        x, scale_factor=scale, mode=mode, align_corners=corners, antialias=True
    )
