"""Random numbers that Hypothesis draws, behind the interface of numpy's generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

T = TypeVar("T")
#: What a function under `st.composite` is given.
Draw = Callable[[st.SearchStrategy[Any]], Any]
#: Arrays of more numbers than this are numpy's: nobody reads a smaller one with more pleasure.
_FEW = 8
_GRAIN = 1000


class DrawnGenerator:
    """What the samples of the operator table draw from: choices are Hypothesis's, which makes them
    simpler where an instance fails, and the numbers of tensors are numpy's."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.numpy = np.random.default_rng(draw(_integers(0, 2**32 - 1)))

    def integers(
        self, low: int, high: int | None = None, size: Any = None, dtype: Any = np.int64
    ) -> Any:
        """Integers in [low, high), in [0, low) without the latter."""
        low, high = (0, low) if high is None else (low, high)
        if size is None:
            return self.draw(_integers(low, high - 1))
        if np.prod(size, dtype=int) > _FEW:
            return self.numpy.integers(low, high, size, dtype)
        drawn = [self.draw(_integers(low, high - 1)) for _ in range(np.prod(size, dtype=int))]
        return np.array(drawn, dtype).reshape(size)

    def random(self, size: Any = None) -> Any:
        """Numbers in [0, 1)."""
        return (
            self.draw(_integers(0, _GRAIN - 1)) / _GRAIN
            if size is None
            else self.numpy.random(size)
        )

    def choice(self, options: Sequence[T]) -> T:
        """One of them."""
        return options[self.draw(_integers(0, len(options) - 1))]

    def chance(self, share: float) -> bool:
        """True in that share of the cases; what is simpler is False."""
        return bool(self.draw(_integers(0, _GRAIN - 1)) >= _GRAIN * (1 - share))

    def permutation(self, count: int) -> list[int]:
        """The numbers below `count` in some order."""
        return list(self.draw(st.permutations(range(count))))

    def standard_normal(self, size: Any = None) -> Any:
        """Normal numbers."""
        return self.numpy.standard_normal(size)

    def uniform(self, low: float, high: float, size: Any = None) -> Any:
        """Numbers in [low, high)."""
        return self.numpy.uniform(low, high, size)


@cache
def _integers(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)
