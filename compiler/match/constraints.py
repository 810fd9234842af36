"""What a pattern may demand of a value: the numbers of a constant, the sizes of a shape."""

from __future__ import annotations

import numpy as np

from sparqc.ir.constants import constant_value, is_constant
from sparqc.ir.graph import Value
from sparqc.ir.types import Shape
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.match.terms import Symbol, dimensions


def filled_with(value: Value, number: int | float | bool, table: OperatorTable) -> bool:
    """Whether a value is a constant whose every element is that number, in its own dtype."""
    if not is_constant(value, table):
        return False
    array = constant_value(value, table)
    if array is None or not array.size:
        return False
    if isinstance(number, float) and array.dtype.kind in "iub" and not number.is_integer():
        return False
    with np.errstate(over="ignore"):
        wanted = np.asarray(number).astype(array.dtype)
    if array.dtype.kind in "iub" and wanted != number:
        return False  # 300 is no uint8
    # The first element settles most cases without a look at a large weight.
    return bool(array.flat[0] == wanted) and bool((array == wanted).all())


def match_dims(
    pattern: tuple[int | str, ...] | None, shape: Shape | None
) -> list[tuple[str, int | Symbol]] | None:
    """The sizes that the names of a shape pattern stand for; None where it does not fit.

    "_" is any size, "..." any number of them.
    """
    if pattern is None:
        return []
    if shape is None:
        return None
    sizes = dimensions(shape)
    if "..." in pattern:
        sizes = _without_rest(pattern, sizes)
        pattern = tuple(dim for dim in pattern if dim != "...")
    if len(sizes) != len(pattern):
        return None
    if any(isinstance(dim, int) and dim != size for dim, size in zip(pattern, sizes, strict=True)):
        return None
    pairs = zip(pattern, sizes, strict=True)
    return [(dim, size) for dim, size in pairs if isinstance(dim, str) and dim != "_"]


def _without_rest(
    pattern: tuple[int | str, ...], sizes: tuple[int | Symbol, ...]
) -> tuple[int | Symbol, ...]:
    """The sizes that stand in front of and behind "..."."""
    before = pattern.index("...")
    after = len(pattern) - before - 1
    if len(sizes) < before + after:
        return ()
    return sizes[:before] + sizes[len(sizes) - after :]
