"""Operators that the table does not have: torch.onnx, or nobody, has a form for them."""

import torch
import torch.nn.functional as F

from tests.chains.block import ANY, Blocks
from tests.chains.blocks.reducing import untied

BLOCKS = Blocks()

BLOCKS.functions(
    ANY,
    {
        "sign": torch.sign,
        "round": lambda x: torch.round(2 * x) / 2,
        "ceil": lambda x: torch.ceil(2 * x) / 2,
        "trunc": lambda x: torch.trunc(2 * x) / 2,
        "frac": lambda x: torch.frac(x),
        "remainder": lambda x: torch.remainder(x, 1.5),
        "floor divide": lambda x: torch.div(x, 0.7, rounding_mode="floor"),
        "atan": torch.atan,
        "asin": lambda x: torch.asin(x.tanh() * 0.9),
        "tan": lambda x: torch.tan(x.tanh()),
        "sinh": lambda x: torch.sinh(x.tanh()),
        "asinh": torch.asinh,
        "log1p": lambda x: torch.log1p(x.abs()),
        "log2": lambda x: torch.log2(x.abs() + 1),
        "expm1": lambda x: torch.expm1(x.tanh()),
        "exp2": lambda x: torch.exp2(x.tanh()),
        "logit": lambda x: torch.logit(x.sigmoid(), 1e-4),
        "selu": F.selu,
        "celu": lambda x: F.celu(x, 0.7),
        "softsign": F.softsign,
        "hardshrink": F.hardshrink,
        "softshrink": F.softshrink,
        "tanhshrink": F.tanhshrink,
        "threshold": lambda x: F.threshold(x, 0.1, -0.5),
        "logsigmoid": F.logsigmoid,
        "atan2": lambda x: torch.atan2(x, x.abs() + 1),
        "nan to num": lambda x: torch.nan_to_num(x, 0.0),
        "isnan": lambda x: torch.where(torch.isnan(x), 0.5, x),
        "xlogy": lambda x: torch.xlogy(x, x.abs() + 1),
        "flip": lambda x: x.flip(-1),
        "outer": lambda x: x * torch.outer(torch.ones(1), torch.ones(1)).sum(),
    },
)
BLOCKS.functions(
    (3, 4),
    {
        "tril": lambda x: x.tril(),
        "triu": lambda x: x.triu(1),
        "diagonal": lambda x: x.diagonal(0, -2, -1) if x.shape[-2] > 1 else x * 2,
        "flip two": lambda x: x.flip(1, 2),
        "rot90": lambda x: torch.rot90(x, 1, (-2, -1)),
    },
)


@BLOCKS.block(reads=2)
def lerp(draw, shape):
    return draw.of(
        lambda x, y: torch.lerp(x, y, 0.3),
        lambda x, y: torch.addcmul(x, y, y, value=0.5),
        lambda x, y: torch.addcdiv(x, y, y.abs() + 1, value=0.5),
        lambda x, y: torch.logaddexp(x, y),
        lambda x, y: F.mse_loss(x, y, reduction="none"),
    )


@BLOCKS.block(2, 3, reads=2)
def distance(draw, shape):
    if len(shape) == 1:
        return draw.of(F.cosine_similarity, F.pairwise_distance) and (
            lambda x, y: F.cosine_similarity(x, y + 0.5).unsqueeze(1)
        )
    return draw.of(
        lambda x, y: (x[:, :, None] - y[:, None]).norm(dim=-1),
        lambda x, y: F.cosine_similarity(x, y + 0.5, -1),
    )


@BLOCKS.block(4)
def unfold(draw, shape):
    if min(shape[1:]) < 3:
        return None
    size, stride, padding = draw.of((3, 1, 1), (2, 2, 0), (3, 2, 0))
    return lambda x: F.unfold(x, size, padding=padding, stride=stride)


@BLOCKS.block(4)
def fold(draw, shape):
    _, height, width = shape
    if height % 2 or width % 2:
        return None
    return lambda x: F.fold(F.unfold(x, 2, stride=2) * 2, (height, width), 2, stride=2)


@BLOCKS.block(3, 4)
def unfolded_axis(draw, shape):
    if shape[-1] < 4:
        return None
    return lambda x: x.unfold(-1, 2, 2).mean(-1)


@BLOCKS.block(4)
def grid_sample(draw, shape):
    mode, padding = draw.of("bilinear", "nearest"), draw.of("zeros", "border", "reflection")
    corners = draw.of(True, False)
    grid = draw.weight(1, 4, 4, 2, scale=0.5)
    return lambda x: F.grid_sample(x, grid.expand(x.shape[0], -1, -1, -1), mode, padding, corners)


@BLOCKS.block(4)
def affine_grid(draw, shape):
    theta = draw.weight(1, 2, 3, scale=0.5)

    def step(x):
        grid = F.affine_grid(theta.expand(x.shape[0], -1, -1), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)

    return step


@BLOCKS.block(2, 3)
def scatter_a_number(draw, shape):
    return lambda x: x.scatter(-1, untied(x, -1).argmax(-1, keepdim=True), 0.0)


@BLOCKS.block(3)
def bucketize(draw, shape):
    bounds = torch.tensor([-1.0, 0.0, 1.0])
    return lambda x: torch.bucketize(x, bounds).float() + x


@BLOCKS.block(3)
def cross(draw, shape):
    if shape[1] < 6:
        return None
    return lambda x: torch.linalg.cross(x[..., :3], x[..., 3:6])
