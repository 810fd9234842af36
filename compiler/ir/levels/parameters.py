"""Scales and zero points that a file computes from constants, which every target folds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph, Value
from sparqc.ir.levels.constant_results import (
    constant_results,
    input_dependent_values,
    is_deterministic,
)
from sparqc.ir.quantizers import CONVERSIONS
from sparqc.ir.vocabulary.table import OperatorTable

PARAMETERS = ("scale", "zero_point")


def fold_parameters(graph: Graph, table: OperatorTable) -> None:
    """Let scales and zero points that depend on no input be constants, under their own names.

    Raises SparqcError where an operator of such an expression fails, or a scale is no positive
    finite number.
    """
    found = list(dict.fromkeys(_computed(graph)))
    if not found:
        return
    for value, array in zip(found, constant_results(graph, found, table), strict=True):
        name = value.name
        if (
            any(value is reader.operands.get("scale") for reader in value.readers)
            and not (np.isfinite(array) & (array > 0)).all()
        ):
            raise SparqcError(
                f"the scale {name!r}, which the model computes, is no positive finite number",
                hint="correct the model, or export it anew",
            )
        graph.replace(value, constant := graph.constant(array, graph.fresh(name)))
        graph.drop_dead()
        if name not in graph:
            graph.rename(constant, name)


def _computed(graph: Graph) -> Iterator[Value]:
    depends: set[Value] | None = None
    for node in graph.nodes:
        for slot in PARAMETERS if node.op in CONVERSIONS else ():
            value = node.operands[slot]
            if not isinstance(value, Value) or value.is_const or value.producer is None:
                continue
            depends = input_dependent_values(graph) if depends is None else depends
            if value not in depends and not value.is_output and _is_repeatable(value):
                yield value


def _is_repeatable(value: Value) -> bool:
    """Whether everything that the value is made of gives the same each time."""
    stack, seen = [value], {value}
    while stack:
        node = stack.pop().producer
        if node is None:
            continue
        if not is_deterministic(node):
            return False
        new = set(node.inputs) - seen
        seen |= new
        stack += new
    return True
