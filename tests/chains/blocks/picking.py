"""What reads or writes elements at places."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.chains.block import Blocks
from tests.chains.blocks.reducing import untied

BLOCKS = Blocks()


@BLOCKS.block()
def select(draw, shape):
    axis = draw.axis(shape)
    size = shape[axis if axis < 0 else axis - 1]
    if size < 2 or len(shape) < 2:
        axis = 1
    at = draw.of(0, -1)
    chosen = torch.tensor([size - 1, 0, 0])
    if len(shape) < 2 or size < 2:
        return lambda x: x[:, torch.tensor([0, 0, 0])]
    return draw.of(
        lambda x: x.select(axis, at),
        lambda x: x.index_select(axis, chosen),
        lambda x: x[:, at] if len(shape) > 1 else x,
        lambda x: x[..., torch.tensor([0, -1])],
    )


@BLOCKS.block(2, 3)
def embedding(draw, shape):
    """Whole numbers from the values, and a table read at them."""
    table = draw.part(nn.Embedding(9, 8))
    return lambda x: table((x * 2).clamp(-4, 4).long() + 4)


@BLOCKS.block(2, 3)
def one_hot(draw, shape):
    return lambda x: F.one_hot((x * 2).clamp(-2, 2).long() + 2, 5).float()


@BLOCKS.block(2, 3, 4)
def gather(draw, shape):
    axis = draw.axis(shape)
    size = shape[axis if axis < 0 else axis - 1]
    return draw.of(
        lambda x: torch.gather(x, axis, untied(x, axis).argsort(axis)),
        lambda x: x.gather(axis, (x.abs() * 2).long().clamp(max=size - 1)),
        lambda x: torch.gather(x, axis, untied(x, axis).argmax(axis, keepdim=True)),
    )


@BLOCKS.block(3, 4)
def index_with_several(draw, shape):
    rows, columns = torch.tensor([0, -1, 0]), torch.tensor([-1, 0, 0])
    return draw.of(
        lambda x: x[:, rows, columns],
        lambda x: x[torch.arange(x.shape[0])[:, None], rows.remainder(2)],
        lambda x: x[:, rows[:, None], columns],
        lambda x: x[..., rows, :],
    )


@BLOCKS.block(3, 4)
def assigned_slice(draw, shape):
    """In-place writes, which torch.export spells as scatters."""

    def rows(x):
        y = x.clone()
        y[:, 1:] = 0.5 * x[:, 1:] if x.shape[1] > 1 else x[:, 1:]
        return y

    def one(x):
        y = x.clone()
        y[:, 0] = x[:, -1]
        return y

    def last(x):
        y = torch.zeros_like(x)
        y[..., 0] = x[..., 0]
        y[..., 1:] += 1
        return y

    return draw.of(rows, one, last)


BLOCKS.functions(
    (3, 4),
    {
        "slice scatter": lambda x: torch.slice_scatter(x, x[:, :1] * 2, 1, 0, 1),
        "select scatter": lambda x: torch.select_scatter(x, x[:, -1], 1, 0),
    },
)


@BLOCKS.block(2, 3, 4)
def scattered(draw, shape):
    """Elements written, or added, where indices say that are computed."""
    return draw.of(
        lambda x: torch.zeros_like(x).scatter_add(-1, untied(x, -1).argsort(-1), x),
        lambda x: x.scatter(-1, untied(x, -1).argsort(-1), x * 2),
        lambda x: x.scatter_reduce(-1, untied(x, -1).argsort(-1), x, "amax"),
    )


@BLOCKS.block(2, 3, 4)
def index_add(draw, shape):
    axis, alpha = draw.axis(shape), draw.of(1, -0.5)
    return lambda x: x.index_add(
        axis, torch.tensor([0, 0]), x.narrow(axis, 0, 1).repeat_interleave(2, axis), alpha=alpha
    )


@BLOCKS.block(2, 3, 4)
def index_copy(draw, shape):
    axis = draw.axis(shape)
    return lambda x: x.index_copy(axis, torch.tensor([0]), x.narrow(axis, -1, 1))
