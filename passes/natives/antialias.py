"""Resizes with antialias: which of ONNX's compute what PyTorch's do, and to which sizes."""

from __future__ import annotations

from sparqc.declared.natives import native
from sparqc.ir.graph import Array
from sparqc.ir.types import Shape


@native("resizes_maps")
def resizes_maps(before: Shape, after: Shape) -> bool:
    """Whether only the last two of four axes change, and their sizes are known.

    Sizes that a model puts together of a Shape may have lost the name of the batch.
    """
    if len(before) != 4 or len(after) != 4 or before[1] != after[1]:
        return False
    batch = before[0] == after[0] or isinstance(after[0], str)
    return batch and all(isinstance(n, int) for n in (*before[2:], *after[2:]))


@native("map_sizes")
def map_sizes(shape: Shape) -> tuple[int, ...]:
    """The sizes of a map [N, C, H, W], which are known."""
    return tuple(int(n) for n in shape[2:])


@native("map_factors")
def map_factors(scales: Array | None) -> tuple[float, ...] | None:
    """The factors of H and W among those of [N, C, H, W]; None where sizes are given instead."""
    if scales is None or not scales.size:
        return None
    return tuple(float(s) for s in scales[2:])
