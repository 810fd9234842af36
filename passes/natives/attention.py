"""The numbers that attention is written with once it is taken apart."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sparqc.declared.natives import native
from sparqc.errors import SparqcError
from sparqc.ir.types import Shape


@native("attention_scale")
def attention_scale(scale: float | None, queries: Shape) -> float:
    """The factor on the scores: 1 / sqrt(head size) where none is given.

    `queries` is [..., tokens, head size].  Source: Vaswani et al., Attention Is All You Need, 2017,
    section 3.2.1.
    """
    if scale is not None:
        return scale
    if not isinstance(queries[-1], int):
        raise SparqcError(f"the head size of an attention over {list(queries)} is not known")
    return 1 / math.sqrt(queries[-1])


@native("swapped_last")
def swapped_last(rank: int) -> tuple[int, ...]:
    """The permutation that swaps the last two of `rank` axes."""
    return (*range(rank - 2), rank - 1, rank - 2)


@native("minus_infinity")
def minus_infinity() -> float:
    """What softmax makes zero of."""
    return -math.inf


@native("causal_mask")
def causal_mask(queries: Shape, keys: Shape) -> NDArray[np.float32]:
    """[queries, keys]: 0 where a token may look, minus infinity at those behind it."""
    rows, columns = queries[-2], keys[-2]
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise SparqcError("causal attention over a number of tokens that is not known")
    return np.where(np.tril(np.ones((rows, columns), np.bool_)), np.float32(0), -np.float32(np.inf))
