"""What makes elements: as many as sizes say, or from constants."""

import torch

from tests.chains.block import ANY, Blocks

BLOCKS = Blocks()


@BLOCKS.block(3)
def class_token(draw, shape):
    """One more token for each sample, and positions, as in a ViT."""
    token, positions = (
        draw.weight(1, 1, shape[1]),
        draw.weight(1, shape[0] + 1, shape[1], scale=0.1),
    )
    return draw.of(
        lambda x: torch.cat([token.expand(x.shape[0], -1, -1), x], 1) + positions,
        lambda x: torch.cat([token.repeat(x.shape[0], 1, 1), x], 1) + positions,
        lambda x: torch.cat([x.new_zeros(x.shape[0], 1, shape[1]) + token, x], 1),
        lambda x: torch.cat([torch.zeros(x.shape[0], 1, shape[1]), x], 1),
        lambda x: torch.cat([torch.full((x.size(0), 1, shape[1]), 0.25), x], 1),
    )


@BLOCKS.block(3)
def made_from_sizes(draw, shape):
    """Numbers that are made as many as the batch asks for, not read."""
    rows, c = shape
    return draw.of(
        lambda x: torch.arange(x.shape[0] * rows).view(-1, rows, 1) / 32 + x,
        lambda x: x + torch.arange(rows, dtype=x.dtype)[:, None] / rows,
        lambda x: x * torch.linspace(0, 1, c),
        lambda x: x + torch.ones(x.size(0), rows, 1),
        lambda x: x - torch.empty(x.size(0), 1, c).fill_(0.5),
        lambda x: torch.arange(x.shape[0]).remainder(2).view(-1, 1, 1) + x,
    )


BLOCKS.functions(
    ANY,
    {
        "arange of the batch": lambda x: (
            x + torch.arange(x.shape[0]).clamp(max=1).reshape(-1, *[1] * (x.ndim - 1))
        ),
        "filled": lambda x: x + torch.full((x.shape[0],), 0.5).reshape(-1, *[1] * (x.ndim - 1)),
        "sizes added": lambda x: x * x.new_ones(x.shape[0] + 1, *[1] * (x.ndim - 1))[1:],
        "sizes subtracted": lambda x: torch.cat([x, x.cos()])[x.shape[0] - 1 : -1],
        "sizes multiplied": lambda x: x + torch.full((x.shape[0] * 3,), 0.5).mean(),
        "expanded": lambda x: x.mean(-1, keepdim=True).expand(*[-1] * (x.ndim - 1), 4),
        "repeated by the batch": lambda x: (
            x + torch.ones(1, 1).repeat(x.shape[0], 1).reshape(-1, *[1] * (x.ndim - 1))
        ),
        "sample by sample": lambda x: x * _likeness(x).reshape(-1, *[1] * (x.ndim - 1)),
    },
)


def _likeness(x):
    """Samples compared with each other: sizes that are both the batch."""
    count, rows = x.shape[0], x.flatten(1) / 16
    square = (rows @ rows.t()).reshape(count, count, 1).expand(count, count, 2).softmax(1)
    return square.flatten().reshape_as(torch.zeros(count, count, 2)).amax(1).mean(-1)


@BLOCKS.block(4)
def meshgrid(draw, shape):
    _, height, width = shape
    kind = draw.of("ij", "xy")

    def step(x):
        rows, columns = torch.arange(height) / height, torch.arange(width) / width
        given = (rows, columns) if kind == "ij" else (columns, rows)
        grid = torch.stack(torch.meshgrid(*given, indexing=kind))
        return torch.cat([x, grid.expand(x.shape[0], -1, -1, -1)], 1)

    return step


BLOCKS.functions(
    (3,),
    {
        "meshgrid of values": lambda x: (
            torch.stack(torch.meshgrid(x[:, 0, 0], x[0, :, -1], indexing="ij"), -1)
            @ torch.ones(2, 3)
        ),
    },
)
