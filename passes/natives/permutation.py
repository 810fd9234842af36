"""Permutations of axes, and the shapes that a Reshape may be given."""

from __future__ import annotations

from collections.abc import Sequence

from sparqc.declared.natives import native
from sparqc.ir.graph import Array


@native("compose")
def compose(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    """The permutation that does `first`, then `second`: out axis i is in axis first[second[i]]."""
    return tuple(first[axis] for axis in second)


@native("is_in_order")
def is_in_order(permutation: Sequence[int]) -> bool:
    """Whether a permutation leaves every axis where it is."""
    return tuple(permutation) == tuple(range(len(permutation)))


@native("undoes")
def undoes(first: Sequence[int], second: Sequence[int]) -> bool:
    """Whether `second` puts every axis back to where it was before `first`."""
    return is_in_order(compose(first, second))


@native("copies_no_dimension")
def copies_no_dimension(shape: Array) -> bool:
    """Whether a Reshape's target shape [rank] holds no 0, which would copy an input dimension."""
    return bool((shape != 0).all())
