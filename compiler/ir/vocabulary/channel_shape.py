"""The shape in which a scale or zero point broadcasts along the channel axis."""

from __future__ import annotations


def channel_shape(axis: int | None, rank: int) -> tuple[int, ...]:
    """What to reshape a parameter to: (-1 at `axis`, 1 elsewhere), or () for one number."""
    if axis is None:
        return ()
    shape = [1] * rank
    shape[axis] = -1
    return tuple(shape)
