"""Mixtures of calibration images: more inputs that a network of floats can answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sparqc.ir.graph import Array
from sparqc.rewrite.context import Batch

#: The largest share of the other image: the first one always prevails.
OTHER = 0.5


def with_mixtures(batches: Sequence[tuple[int, Batch]], copies: int) -> Iterator[tuple[int, Batch]]:
    """The batches, and `copies` times the same with each image mixed with another one.

    Every other image makes a half of the data (`NormalEquations`), and an image is mixed with one
    of its own half, so that what is fitted to one half has not seen the other.  Without mixtures
    where an input is no float or not finite, and where images differ in size or are single.
    """
    yield from batches
    if not _mixes(batches):
        return
    whole = [np.concatenate(parts) for parts in zip(*(batch for _, batch in batches), strict=True)]
    count, number = len(whole[0]), len(batches)
    # An odd number would let the halves change places in the copies.
    first, sizes = count % 2, [len(batch[0]) for _, batch in batches]
    draw = np.random.default_rng(0)
    for _ in range(copies):
        share = draw.uniform(0, OTHER, count)
        other = _others(count, draw)
        start = 0
        for size in sizes:
            here = slice(max(start, first), start + size)
            start += size
            if here.start < here.stop:
                number += 1
                yield number, [_mixed(x[here], x[other[here]], share[here]) for x in whole]


def _mixes(batches: Sequence[tuple[int, Batch]]) -> bool:
    shapes = {tuple(x.shape[1:] for x in batch) for _, batch in batches}
    arrays = [x for _, batch in batches for x in batch]
    floats = all(x.ndim and x.dtype.kind == "f" and np.isfinite(x).all() for x in arrays)
    return floats and len(shapes) == 1 and sum(len(batch[0]) for _, batch in batches) > 3


def _others(count: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """For each image one of its half."""
    half = (count - np.arange(count) % 2 + 1) // 2  # how many images have the same parity
    found: NDArray[np.int64] = (draw.integers(0, 1 << 30, count) % half) * 2 + np.arange(count) % 2
    return found


def _mixed(x: Array, other: Array, share: NDArray[np.float64]) -> Array:
    part = share.reshape(-1, *[1] * (x.ndim - 1)).astype(x.dtype)
    found: Array = (1 - part) * x + part * other
    return found
