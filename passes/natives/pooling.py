"""Windows of average pools."""

from __future__ import annotations

from collections.abc import Sequence

from sparqc.declared.natives import native
from sparqc.ir.graph import Shape


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


@native("all_ones")
def all_ones(numbers: Sequence[int]) -> bool:
    """Whether every number is 1."""
    return all(n == 1 for n in numbers)
