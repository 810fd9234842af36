"""What computes each element by itself."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from tests.chains.block import ANY, Blocks

BLOCKS = Blocks()

BLOCKS.functions(
    ANY,
    {
        "neg": torch.neg,
        "exp": lambda x: (-x.abs()).exp(),
        "log": lambda x: torch.log(x.abs() + 1),
        "sqrt": lambda x: torch.sqrt(x.abs() + 0.1),
        "rsqrt": lambda x: torch.rsqrt(x * x + 0.5),
        "reciprocal": lambda x: torch.reciprocal(x.abs() + 1),
        "abs": torch.abs,
        "floor": lambda x: torch.floor(2 * x) / 2,
        "sin": torch.sin,
        "cos": torch.cos,
        "erf": torch.erf,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "square": torch.square,
        "relu": F.relu,
        "relu in place": lambda x: (x * 1.5).relu_(),
        "silu": F.silu,
        "hardswish": F.hardswish,
        "hardsigmoid": F.hardsigmoid,
        "mish": F.mish,
        "softplus": F.softplus,
        "dropout": lambda x: F.dropout(x, training=False),
        "copies": lambda x: x.clone().contiguous().detach(),
        "to double": lambda x: x.double().float(),
        "to integers": lambda x: (x * 2).to(torch.int64).float(),
        "to int32": lambda x: (x * 3).int().to(x.dtype),
        "full like": lambda x: x + torch.full_like(x, 0.5) - torch.ones_like(x),
        "zeros like": lambda x: torch.maximum(x, torch.zeros_like(x)),
    },
)


@BLOCKS.block()
def softplus_with_beta(draw, shape):
    beta, threshold = draw.of(0.5, 2.0), draw.of(20.0, 2.0)
    return lambda x: F.softplus(x, beta, threshold)


@BLOCKS.block()
def gelu(draw, shape):
    kind = draw.of("none", "tanh")
    return lambda x: F.gelu(x, approximate=kind)


@BLOCKS.block()
def leaky_relu(draw, shape):
    slope = draw.of(0.01, 0.1, 0.3)
    return lambda x: F.leaky_relu(x, slope)


@BLOCKS.block()
def elu(draw, shape):
    alpha = draw.of(1.0, 0.5)
    return lambda x: F.elu(x, alpha)


@BLOCKS.block()
def prelu(draw, shape):
    return draw.part(nn.PReLU(draw.of(1, shape[0]), 0.2))


@BLOCKS.block()
def clip(draw, shape):
    floor, top = torch.tensor(-0.5), torch.tensor(1.5)
    return draw.of(
        lambda x: x.clamp(-1, 1),
        lambda x: x.clamp(min=-0.5),
        lambda x: x.clamp(max=0.75),
        F.relu6,
        F.hardtanh,
        lambda x: F.hardtanh(x, -0.5, 2.0),
        lambda x: torch.clamp(x, floor, top),
        lambda x: x.clamp_min(0.1),
    )


@BLOCKS.block()
def glu(draw, shape):
    axis = draw.axis(shape)
    if shape[axis if axis < 0 else axis - 1] % 2:
        return None
    return lambda x: F.glu(x, axis)


@BLOCKS.block()
def softmax(draw, shape):
    axis = draw.axis(shape)
    return draw.of(
        lambda x: x.softmax(axis),
        lambda x: F.softmax(x, axis, dtype=torch.float32),
        lambda x: torch.special.softmax(x, axis),
        lambda x: F.softmin(x, axis),
    )


@BLOCKS.block()
def log_softmax(draw, shape):
    axis = draw.axis(shape)
    return lambda x: x.log_softmax(axis)


@BLOCKS.block()
def power(draw, shape):
    return draw.of(
        lambda x: x**2,
        lambda x: x.pow(3) / 4,
        lambda x: (x.abs() + 0.1) ** 0.5,
        lambda x: (x.abs() + 0.5) ** -1,
        lambda x: torch.pow(x.abs() + 0.1, x.tanh()),
        lambda x: torch.pow(1.5, x.tanh()),
        lambda x: 2 ** x.sigmoid(),
    )


@BLOCKS.block()
def with_a_number(draw, shape):
    return draw.of(
        lambda x: x + 0.5,
        lambda x: 1 - x,
        lambda x: x - 0.25,
        lambda x: torch.rsub(x, 2.0, alpha=0.5),
        lambda x: 2 * x,
        lambda x: x / 3,
        lambda x: 1 / (x.abs() + 1),
        lambda x: torch.add(x, 1.0, alpha=2),
    )


@BLOCKS.block()
def with_a_constant(draw, shape):
    """A parameter that broadcasts, on either side."""
    rank = len(shape)
    kept = draw.of(shape, (shape[0], *[1] * (rank - 1)), shape[-1:], (1,) * rank, ())
    w = draw.weight(*kept, scale=0.5)
    return draw.of(
        lambda x: x + w, lambda x: w + x, lambda x: x - w, lambda x: w - x, lambda x: x * w,
        lambda x: w * x, lambda x: x / (w.abs() + 1), lambda x: w / (x.abs() + 1),
        lambda x: torch.maximum(x, w), lambda x: torch.minimum(w, x),
        lambda x: torch.add(x, w, alpha=0.5), lambda x: torch.sub(w, x, alpha=2),
    )  # fmt: skip


@BLOCKS.block(reads=2)
def sum_of_two(draw, shape):
    return draw.of(
        lambda x, y: x + y,
        lambda x, y: sum([x, y]),
        lambda x, y: torch.add(x, y, alpha=0.5),
        lambda x, y: x.clone().add_(y),
        lambda x, y: F.relu(y + x),
        lambda x, y: torch.stack([x, y]).sum(0),
    )


@BLOCKS.block(reads=2)
def difference_of_two(draw, shape):
    return draw.of(lambda x, y: x - y, lambda x, y: y - x, lambda x, y: torch.sub(x, y, alpha=0.5))


@BLOCKS.block(reads=2)
def product_of_two(draw, shape):
    return draw.of(
        lambda x, y: x * y,
        lambda x, y: y * torch.sigmoid(x),
        lambda x, y: x / (1 + y.abs()),
        lambda x, y: x.div(y * y + 1),
    )


@BLOCKS.block(reads=2)
def extreme_of_two(draw, shape):
    return draw.of(torch.maximum, torch.minimum, torch.max, torch.min)


@BLOCKS.block(3, 4, 5)
def gate_by_a_mean(draw, shape):
    """A value that broadcasts over another one."""
    axis, keep = draw.axis(shape), True
    return draw.of(
        lambda x: x * x.mean(axis, keepdim=keep).sigmoid(),
        lambda x: x - x.amax(axis, keepdim=keep),
        lambda x: x + x.mean(axis, keepdim=keep),
        lambda x: x.mean(axis, keepdim=keep) - x,
    )


@BLOCKS.block(reads=2)
def comparison(draw, shape):
    """Truth values, used as numbers or as a choice."""
    compare = draw.of(torch.lt, torch.le, torch.gt, torch.ge, torch.eq, torch.ne)
    bound = draw.of(None, 0.25, 0.0)
    test = compare if bound is None else lambda x, y: compare(x, bound)
    return draw.of(
        lambda x, y: torch.where(test(x, y), x, y * 0.5),
        lambda x, y: torch.where(test(x, y), x, 0.0),
        lambda x, y: torch.where(test(x, y), -1.0, y),
        lambda x, y: test(x, y).float() + x,
        lambda x, y: x * test(x, y),
        lambda x, y: x.masked_fill(test(x, y), 0.5),
    )


COMPARED = {
    "less": torch.lt,
    "less or equal": torch.le,
    "greater": torch.gt,
    "greater or equal": torch.ge,
    "equal": torch.eq,
    "not equal": torch.ne,
}


def _compared(compare, draw, shape):
    """With whole numbers, so that values are equal now and then."""
    return lambda x: torch.where(compare(torch.floor(2 * x), 1.0), x, x * 0.5)


BLOCKS.builds(ANY, {name: partial(_compared, compare) for name, compare in COMPARED.items()})


@BLOCKS.block(reads=2)
def truth_values(draw, shape):
    logic = draw.of(
        torch.logical_and,
        torch.logical_or,
        torch.bitwise_and,
        torch.bitwise_or,
        lambda a, b: ~a & b,
        lambda a, b: a.logical_not() | b,
        torch.logical_xor,
    )
    return lambda x, y: torch.where(logic(x > 0, y < 0.5), x, y)


BLOCKS.functions(
    ANY,
    {
        "both": lambda x: x * ((x > -1) & (x < 1)),
        "either": lambda x: x * ((x < -0.5) | (x > 0.5)),
        "negated": lambda x: torch.where(~(x > 0), x * 0.1, x),
    },
)
