"""How large what a model computes may be: a few bytes can ask for more than any machine holds.

A model whose values break a bound is refused when it is read or captured, before anything infers
through it, folds it, or runs it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from math import prod

from sparqc.ir.graph import TensorType

#: The elements of one tensor, which compilers and kernels count with 31 bits; an open dimension
#: counts as 1.
LARGEST = (1 << 31) - 1
#: Elements that a model may compute from its constants, beside `BY_STORED` for each that it stores:
#: masks, tables of positions and weights in parts stay far below.
COMPUTED = 1 << 28
BY_STORED = 64
#: The steps of its loops, and the nodes that calls of its own functions become.
STEPS = 10_000_000
INLINED = 1_000_000


def elements(type: TensorType) -> int:
    """How many elements a value has at least: open dimensions count as 1."""
    return prod(d if isinstance(d, int) else 1 for d in type.shape or ())


def excess(
    types: Iterable[tuple[str, TensorType]], computed: Container[str], stored: int
) -> Iterator[tuple[str, str]]:
    """The first value that is too large, and a sentence for it.

    `computed` are the values that depend on no input, `stored` the elements of all constants.
    """
    total, allowed = 0, COMPUTED + BY_STORED * stored
    for name, type in types:
        size = elements(type)
        if size > LARGEST:
            yield name, f"a tensor of {size:.3g} elements; more than 2^31 cannot be computed"
            return
        total += size if name in computed else 0
        if total > allowed:
            yield (
                name,
                f"it is computed from constants, {total:.3g} elements up to here; more than "
                f"{allowed:.3g} are not computed for a model that stores {stored:.3g}",
            )
            return
