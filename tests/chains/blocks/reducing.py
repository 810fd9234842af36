"""Pools, sums over axes, ranks and running sums."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.chains.block import ANY, Blocks

BLOCKS = Blocks()
MAX = {3: nn.MaxPool1d, 4: nn.MaxPool2d, 5: nn.MaxPool3d}
AVERAGE = {3: nn.AvgPool1d, 4: nn.AvgPool2d, 5: nn.AvgPool3d}
ADAPTIVE = {3: nn.AdaptiveAvgPool1d, 4: nn.AdaptiveAvgPool2d, 5: nn.AdaptiveAvgPool3d}
SPATIAL = (3, 4, 5)


@BLOCKS.block(*SPATIAL)
def max_pool(draw, shape):
    if min(shape[1:]) < 4:
        return None
    # No dilations: no target takes them.
    size, stride, padding = draw.of(
        (2, 2, 0), (3, 2, 1), (3, 1, 1), (4, 2, 1), (3, 3, 0), (5, 1, 2)
    )
    if size > min(shape[1:]):
        return None
    return MAX[len(shape) + 1](size, stride, padding, ceil_mode=draw.of(False, True))


@BLOCKS.block(*SPATIAL)
def average_pool(draw, shape):
    if min(shape[1:]) < 4:
        return None
    size, stride, padding = draw.of((2, 2, 0), (3, 2, 1), (3, 1, 1), (3, 3, 0), (4, 1, 2))
    return AVERAGE[len(shape) + 1](
        size,
        stride,
        padding,
        ceil_mode=draw.of(False, True),
        count_include_pad=draw.of(True, False),
    )


@BLOCKS.block(4)
def divided_pool(draw, shape):
    if min(shape[1:]) < 4:
        return None
    size, stride, padding = draw.of((2, 2, 0), (3, 2, 1), (3, 1, 1), (4, 1, 2))
    divisor, whole = draw.of(1, 3, 5), draw.of(True, False)
    return lambda x: F.avg_pool2d(
        x, size, stride, padding, ceil_mode=whole, divisor_override=divisor
    )


@BLOCKS.block(*SPATIAL)
def global_pool(draw, shape):
    rank = len(shape) + 1
    pool, axes = ADAPTIVE[rank](1), tuple(range(2, rank))
    return draw.of(
        pool,
        lambda x: pool(x).flatten(1),
        lambda x: x.mean(axes),
        AVERAGE[rank](shape[1:]) if rank > 3 else AVERAGE[rank](shape[1]),
    )


@BLOCKS.block(*SPATIAL)
def global_average_pool(draw, shape):
    return ADAPTIVE[len(shape) + 1](1)


@BLOCKS.block(*SPATIAL)
def adaptive_pool(draw, shape):
    size = (2, *(draw.of(1, 2, n, max(1, n // 2)) for n in shape[2:]))
    return ADAPTIVE[len(shape) + 1](size[0] if len(size) == 1 else size)


@BLOCKS.block(4)
def adaptive_max_pool(draw, shape):
    size = tuple(draw.of(1, max(1, n // 2)) for n in shape[1:])
    if any(n % s for n, s in zip(shape[1:], size, strict=True)):
        return None
    return lambda x: F.adaptive_max_pool2d(x, size)


@BLOCKS.block(4)
def power_pool(draw, shape):
    if min(shape[1:]) < 2:
        return None
    return lambda x: F.lp_pool2d(x.abs() + 0.1, 2.0, 2)


def untied(x, axis):
    """Without equal values along an axis: which of them comes first nobody promises."""
    size = x.shape[axis]
    ramp = torch.arange(size, dtype=x.dtype) / (16 * size)
    return x + ramp.reshape(-1, *[1] * (-1 - axis if axis < 0 else x.ndim - 1 - axis))


def _over(function, *, several):
    """The build of a reduction over an axis, or over several."""

    def build(draw, shape):
        axes, keep = draw.axis(shape), draw.of(True, False)
        if several and len(shape) > 1 and draw.of(True, False):
            axes = draw.of((1, 2), (-1, -2), (-1, 1))
        left = len(shape) - (len(axes) if isinstance(axes, tuple) else 1)
        return lambda x: function(x, axes, keep or not left)

    return build


OVER_AXES = {
    "mean over axes": lambda x, d, k: x.mean(d, keepdim=k),
    "sum over axes": lambda x, d, k: x.sum(d, keepdim=k),
    "amax": lambda x, d, k: x.amax(d, keepdim=k),
    "amin": lambda x, d, k: x.amin(d, keepdim=k),
    "norm over axes": lambda x, d, k: torch.linalg.vector_norm(x, 2, d, keepdim=k),
    "norm of order 1": lambda x, d, k: torch.linalg.vector_norm(x, 1, d, keepdim=k),
    "variance": lambda x, d, k: x.var(d, keepdim=k, correction=0),
    "standard deviation": lambda x, d, k: torch.std(x, d, correction=0, keepdim=k),
    "variance and mean": lambda x, d, k: torch.var_mean(x, d, correction=0, keepdim=k),
    "deviation and mean": lambda x, d, k: torch.std_mean(x, d, correction=0, keepdim=k),
    "logsumexp": lambda x, d, k: torch.logsumexp(x, d, keepdim=k),
}
OVER_ONE_AXIS = {
    "max with its index": lambda x, d, k: untied(x, d).max(d, keepdim=k),
    "min with its index": lambda x, d, k: untied(x, d).min(d, keepdim=k),
    "max alone": lambda x, d, k: x.max(d, keepdim=k)[0],
    "min alone": lambda x, d, k: x.min(d, keepdim=k).values,
    "argmax": lambda x, d, k: (untied(x, d).argmax(d, keepdim=k), x.sum(d, keepdim=k)),
    "argmin": lambda x, d, k: untied(x, d).argmin(d, keepdim=k) + x.mean(d, keepdim=k),
    "any and all": lambda x, d, k: (x > 1).any(d, keepdim=k) + (x > -2).all(d, keepdim=k).float(),
}
BLOCKS.builds(ANY, {name: _over(f, several=True) for name, f in OVER_AXES.items()})
BLOCKS.builds(ANY, {name: _over(f, several=False) for name, f in OVER_ONE_AXIS.items()})


@BLOCKS.block()
def topk(draw, shape):
    axis = draw.axis(shape)
    size = shape[axis if axis < 0 else axis - 1]
    k, largest = draw.of(1, max(1, size // 2)), draw.of(True, False)
    return lambda x: untied(x, axis).topk(k, axis, largest)


@BLOCKS.block()
def sort(draw, shape):
    axis, down = draw.axis(shape), draw.of(True, False)
    return draw.of(
        lambda x: untied(x, axis).sort(axis, down),
        lambda x: untied(x, axis).argsort(axis, down).float() / 8 + x,
        lambda x: torch.msort(x.transpose(0, 1)).transpose(0, 1),
    )


@BLOCKS.block()
def cumsum(draw, shape):
    axis = draw.axis(shape)
    return lambda x: x.cumsum(axis)
