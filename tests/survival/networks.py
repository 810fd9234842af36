"""Small networks that hold everything another tool could break: one of each kind of fusion."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


def block(inputs: int, outputs: int, kernel: int = 3, **options: int) -> nn.Sequential:
    """A convolution with its BatchNorm and ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **options)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Residual(nn.Module):
    """A stem with its MaxPool, an identity and a projected skip, a classifier."""

    example = (2, 3, 32, 32)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(block(3, 32, 7, stride=2), nn.MaxPool2d(3, 2, 1))
        self.a = nn.Sequential(block(32, 32), *block(32, 32)[:2])
        self.b = nn.Sequential(block(32, 64, stride=2), *block(64, 64)[:2])
        self.skip = block(32, 64, 1, stride=2)[:2]
        self.head = nn.Linear(64, 40)

    def forward(self, x: Tensor) -> Tensor:
        """[n, 3, 32, 32] to [n, 40]."""
        x = self.stem(x)
        x = torch.relu(self.a(x) + x)
        x = torch.relu(self.b(x) + self.skip(x))
        return self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Inverted(nn.Module):
    """Depthwise between pointwise convolutions, ReLU6, and a linear residual: MobileNetV2."""

    example = (2, 32, 16, 16)

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Sequential(*block(32, 64, 1)[:2], nn.ReLU6())
        self.depthwise = nn.Sequential(*block(64, 64, groups=64)[:2], nn.ReLU6())
        self.project = nn.Sequential(*block(64, 32, 1)[:2])
        self.last = block(32, 64, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, 32, 16, 16] to [n, 64, 16, 16]."""
        x = self.project(self.depthwise(self.expand(x))) + x
        return self.last(x)


class Branches(nn.Module):
    """Concat and Split, nearest Resize, a transposed convolution, SiLU."""

    example = (2, 16, 16, 16)

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = block(16, 32), block(16, 32, 1)
        self.c = nn.Sequential(*block(64, 64)[:2], nn.SiLU())
        self.d = block(32, 32)
        self.up = nn.ConvTranspose2d(64, 32, 2, 2)
        self.e = block(96, 32)

    def forward(self, x: Tensor) -> Tensor:
        """[n, 16, 16, 16] to [n, 32, 32, 32]."""
        x = self.c(torch.cat([self.a(x), self.b(x)], 1))
        first, second = x.chunk(2, 1)
        x = torch.cat([self.d(first), second], 1)
        up = functional.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.e(torch.cat([torch.relu(self.up(x)), up], 1))


class Attention(nn.Module):
    """A transformer block: LayerNorm, Q, K and V on one input, GELU."""

    example = (2, 16, 64)

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(64), nn.LayerNorm(64)
        self.q, self.k, self.v, self.o = (nn.Linear(64, 64) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(64, 128), nn.Linear(128, 64)

    def forward(self, x: Tensor) -> Tensor:
        """[n, 16, 64] to the same."""
        y = self.norm1(x)
        q, k, v = (self._heads(part(y)) for part in (self.q, self.k, self.v))
        y = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.o(y.transpose(1, 2).reshape(x.shape))
        return x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], 4, 16).transpose(1, 2)


class Shared(nn.Module):
    """One convolution that is called twice, and two with one weight."""

    example = (2, 32, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Conv2d(32, 32, 3, padding=1)
        self.a = nn.Conv2d(32, 32, 3, padding=1)
        self.b = nn.Conv2d(32, 32, 3, padding=1)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        """[n, 32, 8, 8] to the same."""
        x = torch.relu(self.twice(torch.relu(self.twice(x))))
        return torch.relu(self.b(torch.relu(self.a(x))))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "residual": Residual,
    "inverted": Inverted,
    "branches": Branches,
    "attention": Attention,
    "shared": Shared,
}
