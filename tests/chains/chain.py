"""Random networks: chains of blocks drawn from every operator of the table, and from others.

`Chain(seed, index)` is the same network in every run.  Network i has the i-th block of the
catalogue in it, so that as many networks as there are blocks draw every block; what else it has is
drawn by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import torch
from torch import Tensor, nn

from tests.chains.block import SHAPES, Block, Draw, Shape, Step
from tests.chains.catalogue import BLOCKS

#: The batch of the examples; a network is run with another one too.
BATCH = 2
#: More elements than these a sample has at no place of a network.
LARGEST = 16384
#: Values stay about as large as this, so that no rounding is amplified.
USUAL = (0.25, 4.0)


class Chain(nn.Module):
    """A network of `length` blocks, or 3 to 12; `inputs` are fitting, `kinds` names the blocks."""

    def __init__(
        self, seed: int, index: int, length: int | None = None, blocks: Sequence[Block] = BLOCKS
    ) -> None:
        super().__init__()
        torch.manual_seed(1000 * seed + index)
        self.random = Random(f"{seed} {index}")
        self.parts = nn.ModuleList()
        self.weights = nn.ParameterList()
        self.inputs: list[Tensor] = []
        self.kinds: list[str] = []
        self._steps: list[tuple[Step, tuple[int, ...]]] = []
        self._gives: list[range] = []  # the values of each step
        self._examples: list[Tensor] = []
        self._at: list[int] = []  # the places of the inputs among the values
        theme, others = blocks[index % len(blocks)], list(blocks)
        length = length or self.random.randint(3, 12)
        turn = self.random.randrange(length)
        self._input(SHAPES[self.random.choice([2, 3, 4, 4, 4])])
        for step in range(length):
            if step == turn:
                self._theme(theme)
            else:
                self._any(others)
        read = {i for _, places in self._steps for i in places}
        self.outputs = [i for i in range(len(self._examples)) if i not in read]
        self.eval()

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """All values that no block reads."""
        given = dict(zip(self._at, inputs, strict=True))
        values: list[Tensor] = []
        for step, places in self._steps:
            while len(values) in given:
                values.append(given[len(values)])
            values += _several(step(*(values[i] for i in places)))
        outputs = tuple(values[i] for i in self.outputs)
        return outputs if len(outputs) > 1 else outputs[0]

    def give(self, output: int) -> list[str]:
        """Give only this one of all values from now on; returns the blocks that it needs."""
        self.outputs = [output]
        needed = {output}
        kinds = []
        for (_, places), given, kind in reversed(
            [*zip(self._steps, self._gives, self.kinds, strict=True)]
        ):
            if needed.intersection(given):
                needed.update(places)
                kinds.append(kind)
        return kinds[::-1]

    @property
    def values(self) -> list[int]:
        """All values that blocks give, in order."""
        return [i for given in self._gives for i in given]

    def drawn(self, batch: int, seed: int) -> tuple[Tensor, ...]:
        """Inputs with another number of samples."""
        generator = torch.Generator().manual_seed(seed)
        return tuple(torch.randn(batch, *x.shape[1:], generator=generator) for x in self.inputs)

    # -- how a network grows -----------------------------------------------------------------------

    def _input(self, shape: Shape) -> int:
        x = torch.randn(BATCH, *shape)
        self._at.append(len(self._examples))
        self.inputs.append(x)
        self._examples.append(x)
        return self._at[-1]

    def _any(self, blocks: Sequence[Block]) -> None:
        """A block that fits one of the values, most often the last one."""
        while True:
            floats = [i for i, x in enumerate(self._examples) if _is_map(x)]
            at = floats[-1] if self.random.random() < 0.8 else self.random.choice(floats)
            rank = self._examples[at].ndim
            fitting = [b for b in blocks if rank in b.ranks]
            weighted = [b for b in fitting if b.is_weighted]
            block = self.random.choice(weighted if self.random.random() < 0.25 else fitting)
            if self._add(block, at):
                return

    def _theme(self, block: Block) -> None:
        """This block: on the last value if it fits there, else on another input."""
        floats = [i for i, x in enumerate(self._examples) if _is_map(x)]
        last = floats[-1]
        if self._examples[last].ndim in block.ranks and self._add(block, last):
            return
        rank = self.random.choice(block.ranks)
        added = self._add(block, self._input(SHAPES[rank]))
        assert added, f"{block.name} does not fit the shape {SHAPES[rank]}"

    def _add(self, block: Block, at: int) -> bool:
        """Append a block that reads the value `at`; False where it does not fit."""
        draw = Draw(self.random, self.parts, self.weights)
        x = self._examples[at]
        places = (at, *(self._partner(x) for _ in range(block.reads - 1)))
        kept = len(self.parts), len(self.weights)
        step = block.build(draw, tuple(x.shape[1:]))
        given: tuple[Tensor, ...] = ()
        if step is not None:
            self.parts.eval()
            with torch.no_grad():
                given = _several(step(*(self._examples[i] for i in places)))
        if step is None or any(y[0].numel() > LARGEST or not y[0].numel() for y in given):
            self.parts, self.weights = self.parts[: kept[0]], self.weights[: kept[1]]
            return False
        self._steps.append((_tamed(step, given), places))
        self.kinds.append(block.name)
        first = len(self._examples)
        with torch.no_grad():
            self._examples += _several(self._steps[-1][0](*(self._examples[i] for i in places)))
        self._gives.append(range(first, len(self._examples)))
        return True

    def _partner(self, x: Tensor) -> int:
        """A value of the same shape, another one where there is one."""
        same = [i for i, y in enumerate(self._examples) if y.shape == x.shape and _is_map(y)]
        return self.random.choice([i for i in same if self._examples[i] is not x] or same)


def _is_map(x: Tensor) -> bool:
    """Whether blocks can read a value: floats, at least one axis behind the batch."""
    return x.dtype == torch.float32 and 2 <= x.ndim <= 5


def _several(given: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    return (given,) if isinstance(given, Tensor) else tuple(given)


def _tamed(step: Step, given: Sequence[Tensor]) -> Step:
    """The step, with a factor behind it where it gives very large or very small numbers."""
    factors = [_factor(y) for y in given]
    if all(f == 1.0 for f in factors):
        return step

    def tamed(*xs: Tensor) -> tuple[Tensor, ...]:
        pairs = zip(_several(step(*xs)), factors, strict=True)
        return tuple(y if f == 1.0 else y * f for y, f in pairs)

    return tamed


def _factor(y: Tensor) -> float:
    if not y.is_floating_point():
        return 1.0
    size = float(y.double().square().mean().sqrt())
    if size == 0 or USUAL[0] <= size <= USUAL[1]:
        return 1.0
    return float(f"{1 / size:.2g}")
