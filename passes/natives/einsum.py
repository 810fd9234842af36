"""Which sums of products (Einsum) are products of matrices, and the orders of axes for that.

Of the letters of `A,B->O` those in all three count batches; those in A and B only are summed over;
those in O and one of the two are rows and columns.  A matrix product has

    a [rows but one..., batches..., row, sum] @ b [batches..., sum, column]

where the rows in front broadcast over b.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparqc.declared.natives import native
from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Value
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.natives.permutation import is_in_order


@dataclass(frozen=True)
class MatrixProduct:
    """The permutations of both factors in front of a product, and of what it gives behind it."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    result: tuple[int, ...]


@native("is_matrix_product")
def is_matrix_product(equation: str, a: Value, b: Value) -> bool:
    """Whether an Einsum of two values is the product of matrices a @ b, rather than b @ a.

    A constant stands on the right, as weights do; else the order counts that gives the result
    without a permutation.
    """
    found = matrix_product(equation, a, b)
    if found is None or not _is_summed_alike(found, a, b):
        return False
    other = matrix_product(swapped_terms(equation), b, a)
    return other is None or _cost(found, a) <= _cost(other, b)


@native("swapped_terms")
def swapped_terms(equation: str) -> str:
    """The equation `B,A->O` of `A,B->O`."""
    terms, arrow, result = equation.partition("->")
    return ",".join(reversed(terms.split(","))) + arrow + result


@native("product_orders")
def product_orders(equation: str, a: Value, b: Value) -> tuple[tuple[int, ...], ...]:
    """The permutations of a, of b and of their product, for `is_matrix_product`."""
    found = matrix_product(equation, a, b)
    assert found is not None
    return found.first, found.second, found.result


def matrix_product(equation: str, a: Value, b: Value) -> MatrixProduct | None:
    """The matrix product a @ b that an Einsum computes; None where it is none."""
    terms = _terms(equation, (a, b))
    if terms is None:
        return None
    first, second, result = terms
    batches = [c for c in result if c in first and c in second]
    rows = [c for c in result if c in first and c not in second]
    columns = [c for c in result if c in second and c not in first]
    summed = [c for c in first if c in second and c not in result]
    used = {*batches, *rows, *columns, *summed}
    if len(summed) != 1 or len(columns) != 1 or not rows or used != {*first, *second}:
        return None
    row = result[-2] if len(result) > 1 and result[-2] in rows else rows[-1]
    leading = [c for c in rows if c != row]
    given = [*leading, *batches, row, *columns]
    return MatrixProduct(
        _order(first, [*leading, *batches, row, *summed]),
        _order(second, [*batches, *summed, *columns]),
        _order(given, list(result)),
    )


def _terms(equation: str, operands: Sequence[Value]) -> tuple[str, str, str] | None:
    """The letters of both operands and of the result, without "..."; None where one term has a
    letter twice or the result is not named."""
    inputs, arrow, result = equation.partition("->")
    terms = inputs.split(",")
    if not arrow or len(terms) != 2:
        return None
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation]
    found, widest = [], 0
    for term, operand in zip(terms, operands, strict=True):
        rank = operand.type.rank
        more = None if rank is None else rank - len(term.replace("...", ""))
        if more is None or not 0 <= more <= len(free) or (more and "..." not in term):
            return None
        widest = max(widest, more)
        found.append(term.replace("...", "".join(free[:more][::-1])))
    found.append(result.replace("...", "".join(free[:widest][::-1])))
    if any(len(set(term)) != len(term) for term in found):
        return None
    return found[0], found[1], found[2]


def _order(before: Sequence[str], after: Sequence[str]) -> tuple[int, ...]:
    return tuple(before.index(letter) for letter in after)


def _is_summed_alike(found: MatrixProduct, a: Value, b: Value) -> bool:
    """Whether nothing is broadcast along the axis that is summed over, as Einsum may."""
    if a.shape is None or b.shape is None:
        return False
    sizes = a.shape[found.first[-1]], b.shape[found.second[-2]]
    return sizes[0] == sizes[1] or 1 not in sizes


def _cost(found: MatrixProduct, first: Value) -> tuple[bool, bool]:
    """What speaks against an order of the factors: a constant in front, then a permutation."""
    return is_constant(first, default_table()), not is_in_order(found.result)
