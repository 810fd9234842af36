"""What a block is, and what it draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")
#: Of one sample: without the batch.
Shape = tuple[int, ...]
#: What a block computes from the values that it reads.
Step = Callable[..., "Tensor | Sequence[Tensor]"]
#: For each rank, with the batch, a shape that every block of that rank takes.
SHAPES: dict[int, Shape] = {2: (16,), 3: (12, 16), 4: (16, 8, 8), 5: (8, 4, 4, 4)}
ANY = (2, 3, 4, 5)
IMAGE = (4,)


class Draw:
    """Random choices, and the layers that a block makes."""

    def __init__(self, random: Random, parts: nn.ModuleList, weights: nn.ParameterList) -> None:
        self.random, self._parts, self._weights = random, parts, weights

    def of(self, *choices: T) -> T:
        """One of them."""
        return self.random.choice(choices)

    def axis(self, shape: Shape) -> int:
        """An axis behind the batch, counted from either end."""
        axis = self.random.randrange(len(shape))
        return axis - len(shape) if self.random.random() < 0.5 else axis + 1

    def part(self, module: nn.Module) -> nn.Module:
        """A layer of the network."""
        self._parts.append(module)
        return module

    def weight(self, *shape: int, scale: float | None = None) -> Tensor:
        """A parameter of the network; as large as a sum over its second axis wants it."""
        fan = shape[1] if len(shape) > 1 else 1
        weight = torch.randn(shape) * (scale if scale is not None else 1 / math.sqrt(fan))
        self._weights.append(nn.Parameter(weight))
        return self._weights[-1]


Build = Callable[[Draw, Shape], "Step | None"]


@dataclass(frozen=True)
class Block:
    """A piece of a network."""

    name: str
    #: Of the values that it takes, the batch counted.
    ranks: tuple[int, ...]
    #: Gives None for a shape that does not fit.
    build: Build
    #: So many values of one shape.
    reads: int = 1
    #: Whether a layer with weights is in it.
    is_weighted: bool = False


class Blocks(list[Block]):
    """The blocks of one file, in order."""

    def block(
        self, *ranks: int, reads: int = 1, is_weighted: bool = False
    ) -> Callable[[Build], Build]:
        """Add the function below, under its name."""

        def add(build: Build) -> Build:
            name = build.__name__.replace("_", " ")
            self.append(Block(name, ranks or ANY, build, reads, is_weighted))
            return build

        return add

    def builds(self, ranks: tuple[int, ...], builds: Mapping[str, Build]) -> None:
        """Add several of one value each, by their names."""
        self.extend(Block(name, ranks, build) for name, build in builds.items())

    def functions(self, ranks: tuple[int, ...], functions: Mapping[str, Step]) -> None:
        """Add functions of one value, which draw nothing."""
        for name, function in functions.items():
            self.append(Block(name, ranks, partial(_constantly, function)))


def _constantly(function: Step, draw: Draw, shape: Shape) -> Step:
    return function


def factor_of(size: int, *candidates: int) -> int:
    """The first of the candidates that divides a size, else 1."""
    return next((c for c in candidates if size % c == 0), 1)
