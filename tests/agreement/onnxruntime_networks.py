"""Small networks, each around something that onnxruntime may compute in INT8, or may not."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.test_targets import Net

IMAGE = (2, 16, 8, 8)
TOKENS = (4, 8, 32)


class Layers(nn.Module):
    """Layers, and how they are put together."""

    def __init__(self, forward: Callable[..., Tensor], *layers: nn.Module):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.put_together = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.put_together(x, *self.layers)


def conv(channels: int = 16, size: int = 3, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels, 16, size, padding=size // 2, bias=bias)


def around(inner: Callable[[Tensor], Tensor]) -> nn.Module:
    """Something between convolutions, whose codes a quantizer takes up again."""
    return Layers(lambda x, a, b, c: c(b(inner(a(x)))), conv(), conv(size=1), conv())


def linears(count: int, bias: bool = True) -> list[nn.Module]:
    return [nn.Linear(32, 32, bias=bias) for _ in range(count)]


#: What makes each, and the shape of its input.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "residual": (Net, IMAGE),
    "two readers": (
        lambda: Layers(
            lambda x, a, b, c: c(F.silu(b(torch.max_pool2d(torch.relu(a(x)), 2))).mean((2, 3))),
            conv(), nn.Conv2d(16, 16, 3, groups=16), nn.Linear(16, 10),
        ),
        IMAGE,
    ),
    "sum": (lambda: Layers(lambda x, a, b, c: c(a(x) + b(x)), conv(), conv(), conv()), IMAGE),
    "sum of three": (
        lambda: Layers(
            lambda x, a, b, c, d: d(c(a(x) + b(x))), conv(), conv(), conv(), conv()
        ),
        IMAGE,
    ),
    "product": (
        lambda: Layers(lambda x, a, b, c, d: d(c(a(x) * b(x))), conv(), conv(), conv(), conv()),
        IMAGE,
    ),
    "concat": (
        lambda: Layers(
            lambda x, a, b, c, d: d(c(torch.cat([a(x), b(x)], 1))),
            conv(), conv(), conv(32), conv(),
        ),
        IMAGE,
    ),
    "transposed convolution": (
        lambda: Layers(
            lambda x, a, b, c, d: d(c(b(a(x)))),
            conv(), nn.ConvTranspose2d(16, 16, 2, stride=2), conv(), conv(),
        ),
        IMAGE,
    ),
    "no bias": (
        lambda: Layers(lambda x, a, b: b(a(x)), conv(bias=False), conv(bias=False)), IMAGE
    ),
    "result is a convolution": (lambda: Layers(lambda x, a, b: b(a(x)), conv(), conv()), IMAGE),
    "average pool": (lambda: around(lambda y: F.avg_pool2d(y, 2)), IMAGE),
    "global average pool": (lambda: around(lambda y: F.adaptive_avg_pool2d(y, 1)), IMAGE),
    "mean": (lambda: around(lambda y: y.mean((2, 3), keepdim=True)), IMAGE),
    "maximum pool": (lambda: around(lambda y: torch.max_pool2d(y, 2)), IMAGE),
    "resize": (lambda: around(lambda y: F.interpolate(y, scale_factor=2.0)), IMAGE),
    "relu": (lambda: around(torch.relu), IMAGE),
    "sigmoid": (lambda: around(torch.sigmoid), IMAGE),
    "silu": (lambda: around(F.silu), IMAGE),
    "leaky relu": (lambda: around(F.leaky_relu), IMAGE),
    "softmax": (lambda: around(lambda y: F.softmax(y, 1)), IMAGE),
    "transpose": (lambda: around(lambda y: y.transpose(2, 3)), IMAGE),
    "matrices": (lambda: Layers(lambda x, a, b, c: c(torch.relu(b(a(x)))), *linears(3)), (4, 32)),
    "matrices without a bias": (
        lambda: Layers(lambda x, a, b: b(a(x)), *linears(2, bias=False)), (4, 32)
    ),
    "stacks": (lambda: Layers(lambda x, a, b, c: c(torch.relu(b(a(x)))), *linears(3)), TOKENS),
    "stacks without a bias": (
        lambda: Layers(lambda x, a, b, c: c(torch.relu(b(a(x)))), *linears(3, bias=False)), TOKENS
    ),
    "attention": (
        lambda: Layers(
            lambda x, q, k, v, o: o(F.softmax(q(x) @ k(x).transpose(1, 2), -1) @ v(x)), *linears(4)
        ),
        TOKENS,
    ),
}  # fmt: skip
