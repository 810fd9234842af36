"""Constant expressions: what can be computed before the model runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.vocabulary.operator import Operator
from sparqc.ir.vocabulary.table import OperatorTable


def is_constant(value: Value, table: OperatorTable) -> bool:
    """Whether a value is a constant, or made from constants by operators that keep it one.

    Only the rows marked `constant_expression` count: masks, Q/DQ of weights, re-layouts.
    """
    return value.data is not None or _order(value, table) is not None


def constant_expressions(graph: Graph, table: OperatorTable) -> set[Value]:
    """The results of all nodes for which `is_constant` holds."""
    found: set[Value] = set()
    for node in graph.nodes:
        if _keeps_constant(table.get(node.op)) and all(
            v.is_const or v in found for v in node.inputs
        ):
            found.update(node.outputs)
    return found


def constant_value(value: Value, table: OperatorTable) -> Array | None:
    """The array of a constant expression, None of any other value.

    Evaluates each operator of the expression once.
    """
    if value.data is not None:
        return value.data
    order = _order(value, table)
    if order is None:
        return None
    arrays: dict[Value, Array] = {}
    for node in order:
        row = table.require(node.op)
        if row.evaluate is None:
            return None
        results = row.evaluate(_arrays_of(node, arrays), node.attributes)
        arrays.update(zip(node.outputs, results, strict=True))
    return arrays[value]


def _order(value: Value, table: OperatorTable) -> list[Node] | None:
    """The nodes of a constant expression, each behind what it reads; None where it is none."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[tuple[Value, bool]] = [(value, False)]
    while stack:
        current, done = stack.pop()
        node = current.producer
        if current.data is not None or (node in seen and not done):
            continue
        if node is None or not _keeps_constant(table.get(node.op)):
            return None
        if done:
            order.append(node)
            continue
        seen.add(node)
        stack.append((current, True))
        stack.extend((v, False) for v in node.inputs)
    return order


def _keeps_constant(row: Operator | None) -> bool:
    return row is not None and row.constant_expression


def _arrays_of(node: Node, arrays: Mapping[Value, Array]) -> dict[str, Any]:
    """The operands as arrays, tuples of arrays and None."""

    def array(value: Value) -> Array:
        return arrays[value] if value.data is None else value.data

    return {
        slot: tuple(map(array, operand))
        if isinstance(operand, tuple)
        else None
        if operand is None
        else array(operand)
        for slot, operand in node.operands.items()
    }
