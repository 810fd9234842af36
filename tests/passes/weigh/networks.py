"""A small vision transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class Block(nn.Module):
    """Attention and two linears, each with a norm in front and a skip."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.qkv, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.up, self.down = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, size = x.shape
        parts = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.heads, size // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        y = scaled_dot_product_attention(q, k, v)
        x = x + self.out(y.transpose(1, 2).reshape(batch, tokens, size))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """Patches of an image of 32 x 32, two blocks, and a head."""

    def __init__(self, size: int = 64, heads: int = 2, depth: int = 2, sharp: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, size, 4, 4)
        self.blocks = nn.ModuleList(Block(size, heads) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(size), nn.Linear(size, 32)
        with torch.no_grad():
            for block in self.blocks:
                block.qkv.weight[: 2 * size].mul_(sharp)  # type: ignore[union-attr, index]

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))


def images(count: int, size: int = 32, seed: int = 1) -> list[tuple[Tensor]]:
    made = torch.Generator().manual_seed(seed)
    return [(torch.randn(size, 3, 32, 32, generator=made),) for _ in range(count)]


class Narrow(nn.Module):
    """A depthwise pair of 16 channels, and a layer of 8 between wide ones."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.pointwise = nn.Conv2d(16, 32, 1)
        self.squeeze, self.expand = nn.Conv2d(32, 8, 1), nn.Conv2d(8, 32, 3, padding=1)
        self.last = nn.Conv2d(32, 32, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(self.stem(x).relu()).relu()
        x = self.squeeze(self.pointwise(x).relu()).relu()
        return self.last(self.expand(x).relu())
