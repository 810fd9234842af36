"""The orders of an operator's operands that mean the same."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.operator import Operator


def operands_of(node: Node) -> tuple[Value | None, ...]:
    """The operands by position, those of a variadic slot each by itself."""
    operands = node.operands.values()
    if tuple not in map(type, operands):
        return tuple(operands)  # type: ignore[arg-type]
    found: list[Value | None] = []
    for operand in operands:
        if isinstance(operand, tuple):
            found.extend(operand)
        else:
            found.append(operand)
    return tuple(found)


def operand_orders(
    operands: tuple[Value | None, ...], operator: Operator | None, ordered: bool = False
) -> Iterable[tuple[Value | None, ...]]:
    """The operands in each of the orders that the operator's commuting pairs allow; in their own
    alone where `ordered` asks for it."""
    if operator is None or ordered or not operator.commutes:
        return (operands,)
    found = {
        (*(operands[i] for i in order), *operands[len(order) :]): None
        for order in _permutations(operator.operand_names, operator.commutes)
        if max(order) < len(operands)
    }
    return found


@cache
def _permutations(
    names: tuple[str, ...], commutes: tuple[tuple[str, str], ...]
) -> tuple[tuple[int, ...], ...]:
    """Every order of operands that swapping commuting pairs leads to, up to the last that moves."""
    pairs = [(names.index(a), names.index(b)) for a, b in commutes]
    start = tuple(range(1 + max(max(pair) for pair in pairs)))
    found, stack = {start: None}, [start]
    while stack:
        order = list(stack.pop())
        for a, b in pairs:
            swapped = list(order)
            swapped[a], swapped[b] = swapped[b], swapped[a]
            if tuple(swapped) not in found:
                found[tuple(swapped)] = None
                stack.append(tuple(swapped))
    return tuple(found)
