"""What the placement rules ask of a graph beyond the operators they match."""

from __future__ import annotations

from sparqc.declared.natives import native
from sparqc.ir.types import Shape


@native("alike_but_for_batch")
def alike_but_for_batch(part: Shape, whole: Shape) -> bool:
    """Whether two shapes are the same, except that `part` may be one sample for a whole batch.

    Of any rank, which named dimensions of a pattern are not.
    """
    return len(part) == len(whole) and part[1:] == whole[1:] and part[0] in (1, whole[0])


@native("is_spatial_mean")
def is_spatial_mean(axes: tuple[int, ...], rank: int) -> bool:
    """Whether the axes of a mean are all those behind batch and channels of a feature map, counted
    from either end, in whichever order."""
    return rank >= 4 and {a % rank for a in axes} == set(range(2, rank))
