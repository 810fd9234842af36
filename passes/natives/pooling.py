"""Windows of average pools."""

from __future__ import annotations

from collections.abc import Sequence

from sparqc.declared.natives import native
from sparqc.ir.types import Shape


@native("divides")
def divides(output: Sequence[int], shape: Shape) -> bool:
    """Whether each spatial output size divides the input's; `shape` is [N, C, spatial...]."""
    sizes = shape[-len(output) :]
    return all(isinstance(n, int) and n % m == 0 for n, m in zip(sizes, output, strict=True))


@native("pool_window")
def pool_window(output: Sequence[int], shape: Shape) -> tuple[int, ...]:
    """The window of an adaptive pool whose output sizes divide the input's."""
    sizes = shape[-len(output) :]
    return tuple(int(n) // m for n, m in zip(sizes, output, strict=True))


@native("covers_map")
def covers_map(
    kernel: Sequence[int], pads: Sequence[int], before: Shape, after: Shape, ceil_mode: bool
) -> bool:
    """Whether one window of an average pool is the whole map, or with `ceil_mode` reaches beyond
    it, where the mean is of what lies inside; the shapes are [N, C, spatial...]."""
    sizes = before[-len(kernel) :]
    if any(pads) or not all(isinstance(n, int) for n in sizes) or set(after[2:]) != {1}:
        return False
    pairs = [(k, int(n)) for k, n in zip(kernel, sizes, strict=True)]
    return all(k == n or (ceil_mode and k > n) for k, n in pairs)


@native("all_ones")
def all_ones(numbers: Sequence[int]) -> bool:
    """Whether every number is 1."""
    return all(n == 1 for n in numbers)
