"""One architecture of the zoo: a name, where it comes from, and how it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Architecture:
    """How to build one network, small enough that a whole zoo of them compiles in minutes."""

    name: str
    #: The package that it comes from.
    source: str
    make: Callable[[], nn.Module]
    #: The shape of each input.
    shapes: Shapes
    #: How many token ids there are, where the inputs are token ids; 0 where they are numbers.
    tokens: int = 0
    #: Whether any batch is taken: the compiler then builds each engine twice.
    dynamic: bool = False

    def build(self) -> tuple[nn.Module, tuple[Tensor, ...]]:
        """The network in eval mode and its inputs: the same numbers at each call."""
        torch.manual_seed(0)
        net, inputs = self.make().eval(), tuple(self._input(shape) for shape in self.shapes)
        settle(net, inputs)
        return net, inputs

    def _input(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randint(0, self.tokens, shape) if self.tokens else torch.randn(shape)


def settle(net: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Give every BatchNorm the statistics of what reaches it.

    With the 0 and 1 that it starts from, a deep network of random weights gives nothing but zeros.
    """

    def take(norm: nn.Module, args: tuple[Any, ...]) -> None:
        x = args[0]
        axes = [0, *range(2, x.dim())]
        norm.running_mean.copy_(x.mean(axes))
        norm.running_var.copy_(x.var(axes, correction=0).clamp(min=1e-2))

    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    handles = [m.register_forward_pre_hook(take) for m in norms if m.running_mean is not None]
    with torch.no_grad():
        net(*inputs)
    for handle in handles:
        handle.remove()


def image(size: int, channels: int = 3) -> Shapes:
    """Two square images."""
    return ((2, channels, size, size),)
