"""2:4 sparsity: at most two of every four consecutive values along an axis are not zero."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sparqc.declared.natives import native
from sparqc.errors import SparqcError
from sparqc.ir.graph import Array
from sparqc.numerics.finite import require_finite

#: Values that are worked on at once; what is derived from them stays in the cache.
_BLOCK = 1 << 18


@native("two_four_mask")
def two_four_mask(w: Array, axis: int) -> NDArray[np.bool_]:
    """True where a value stays: the two largest magnitudes of every four along `axis`.

    Of equal magnitudes the one with the lower index stays.  A zero never stays, so that a group
    that has two zeros or more keeps them and all its other values.  Same shape as `w`.
    Raises `SparqcError` where the axis is no multiple of four long, or a value is NaN or infinite.
    """
    require_finite(w, "the weight to prune")
    if w.shape[axis] % 4:
        raise SparqcError(
            f"axis {axis} of a weight of shape {list(w.shape)} is {w.shape[axis]} long",
            hint="2:4 sparsity needs a multiple of four",
        )
    fours = _fours(w, axis)
    mask = np.empty(fours.shape, np.bool_)
    for block in _blocks(fours):
        _keep_two(fours[block], mask[block])
    return mask.reshape(w.shape)


@native("two_four_violations")
def two_four_violations(w: Array, axis: int) -> int:
    """How many groups of four along `axis` have more than two values that are not zero.

    Where the axis is no multiple of four long, zeros complete the last group.
    """
    if w.shape[axis] % 4:
        widths = [(0, 0)] * w.ndim
        widths[axis] = (0, -w.shape[axis] % 4)
        w = np.pad(w, widths)
    fours = _fours(w, axis)
    found = 0
    for block in _blocks(fours):
        filled = (fours[block] != 0).view(np.uint8)
        found += int(np.count_nonzero(filled.sum(axis=1, dtype=np.uint8) > 2))
    return found


@native("is_two_four")
def is_two_four(w: Array, axis: int) -> bool:
    """Whether a weight can be multiplied sparsely: 2:4, and a multiple of four long."""
    return w.shape[axis] % 4 == 0 and two_four_violations(w, axis) == 0


def _fours(w: Array, axis: int) -> Array:
    """`w` as [groups, 4, what lies behind the axis]."""
    inner = int(np.prod(w.shape[axis % w.ndim + 1 :]))
    return w.reshape(-1, 4, inner) if w.size else np.empty((0, 4, 1), w.dtype)


def _blocks(fours: Array) -> Iterator[slice]:
    step = max(1, _BLOCK // (4 * fours.shape[2]))
    return (slice(start, start + step) for start in range(0, fours.shape[0], step))


def _keep_two(fours: Array, mask: NDArray[np.bool_]) -> None:
    """Fill `mask`, [groups, 4, inner], by comparing each pair: who wins twice or more stays."""
    # Integers get wider, as |-128| is none of int8; half precision is slow to compare.
    wide = np.promote_types(fours.dtype, np.float32)
    a, b, c, d = (np.abs(fours[:, index], dtype=wide) for index in range(4))
    # 1 where the earlier of two wins.  Views, as numpy adds Booleans to Booleans.
    ab, ac, ad = (np.greater_equal(a, x).view(np.uint8) for x in (b, c, d))
    bc, bd = (np.greater_equal(b, x).view(np.uint8) for x in (c, d))
    cd = np.greater_equal(c, d).view(np.uint8)
    np.greater_equal(ab + ac + ad, 2, out=mask[:, 0])
    np.greater_equal(bc + bd, 1 + ab, out=mask[:, 1])  # b wins against a where a does not
    np.greater_equal(cd, ac + bc, out=mask[:, 2])
    np.less_equal(ad + bd + cd, 1, out=mask[:, 3])
    mask &= fours != 0
