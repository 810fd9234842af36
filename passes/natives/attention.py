"""The numbers that attention is written with once it is taken apart."""

from __future__ import annotations

import math

import numpy as np

from sparqc.declared.natives import native
from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Value
from sparqc.ir.types import Shape
from sparqc.ir.vocabulary.forms import NUMPY_DTYPES


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
def causal_mask(queries: Value, keys: Value) -> Array:
    """[queries, keys], in the type of the queries: 0 where a token may look, and minus infinity at
    the tokens behind it."""
    rows, columns = (v.shape[-2] if v.shape else None for v in (queries, keys))
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise SparqcError("causal attention over a number of tokens that is not known")
    allowed = np.tril(np.ones((rows, columns), np.bool_))
    return np.where(allowed, 0, -np.inf).astype(NUMPY_DTYPES.get(queries.type.dtype, np.float32))
