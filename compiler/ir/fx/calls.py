"""Torch calls into nodes of a graph: in the vocabulary where a row takes them, else raw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sparqc.ir.fx.schema import bind, raw_call, target_name
from sparqc.ir.graph import Attribute, Graph, Node, Origin, TensorType, Value
from sparqc.ir.vocabulary.operator import Call, Operator, Reading
from sparqc.ir.vocabulary.table import OperatorTable


class FxCallBuilder:
    """Adds nodes to a graph, in the order of the calls."""

    def __init__(self, graph: Graph, table: OperatorTable) -> None:
        self.graph, self.table = graph, table
        self._order: dict[Value, int] = {}

    def define(self, value: Value) -> Value:
        """Note that a value exists from here on: the earlier one comes first in a sum."""
        self._order[value] = len(self._order)
        return value

    def call(
        self,
        target: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        types: Sequence[TensorType],
        origin: Origin,
    ) -> Node:
        """Add one call, with Values in its arguments."""
        made = self.in_table(target, args, kwargs, types, origin)
        return made or self.raw(target, args, kwargs, types, origin)

    def in_table(
        self,
        target: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        types: Sequence[TensorType],
        origin: Origin,
        *,
        first_only: bool = False,
    ) -> Node | None:
        """Add a call as the first row reads it that does not decline; None where all do.

        With `first_only`, nobody reads more than the first of several results.
        """
        name = target_name(target)
        candidates = self.table.fx_candidates(name)
        if not candidates:
            return None
        call = Call(name, bind(target, tuple(args), kwargs), types)
        for row in candidates:
            reading = row.fx.read(call) if row.fx else None
            if reading is not None and _is_open(reading.attributes.values()):
                continue
            count = len(types) if row.outputs[-1].endswith("*") else len(row.outputs)
            if reading is not None and (count == len(types) or (first_only and count == 1)):
                return self._row(row, reading, types[:count], origin)
        return None

    def raw(
        self,
        target: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        types: Sequence[TensorType],
        origin: Origin,
        *,
        several: bool = False,
    ) -> Node:
        """Add a call as it is; `several` says that it gives a tuple, be it of one."""
        call = raw_call(target, tuple(args), kwargs)
        if call.raw is not None:
            call.raw = replace(call.raw, several=several)
        operands = {slot: self._operand(operand) for slot, operand in call.operands.items()}
        return self._add(target_name(target), operands, call.attributes, types, origin, call.raw)

    def _row(
        self, row: Operator, reading: Reading, types: Sequence[TensorType], origin: Origin
    ) -> Node:
        operands = {o.name: self._operand(reading.operands.get(o.name)) for o in row.operands}
        for first, second in row.commutes:
            if self._place(operands[first]) > self._place(operands[second]):
                operands[first], operands[second] = operands[second], operands[first]
        attributes: dict[str, Any] = {**row.attributes, **reading.attributes}
        return self._add(row.name, operands, attributes, types, origin)

    def _operand(self, operand: Any) -> Any:
        if isinstance(operand, np.ndarray | np.generic):
            return self.graph.constant(np.asarray(operand))
        if isinstance(operand, list | tuple):
            return tuple(self._operand(item) for item in operand)
        return operand

    def _place(self, value: Value) -> tuple[bool, int, str]:
        """Where an operand that may be swapped goes: in order of definition, constants last."""
        return value.is_const, self._order.get(value, 0), value.name if value.is_const else ""

    def _add(
        self,
        op: str,
        operands: Mapping[str, Any],
        attributes: Mapping[str, Attribute],
        types: Sequence[TensorType],
        origin: Origin,
        raw: Any = None,
    ) -> Node:
        names = [short_name(op)] * len(types)
        made = self.graph.create(
            op, operands, attributes, types=types, names=names, origin=origin, raw=raw
        )
        for value in made.outputs:
            self.define(value)
        return made


def _is_open(attributes: Iterable[object]) -> bool:
    """Whether an attribute follows the sizes of inputs: a row has fixed ones only."""
    return any(
        isinstance(attribute, Value)
        or (isinstance(attribute, (list, tuple)) and _is_open(attribute))
        for attribute in attributes
    )


def short_name(op: str) -> str:
    """What values are named after: "nn.conv" and "aten.conv.overload" both give "conv"."""
    return op.split(".")[1]


def renumber(graph: Graph) -> None:
    """Name the values anew, so that what was dropped leaves no gap in the numbers."""
    values = [v for node in graph.nodes for v in node.outputs]
    values += [c for c in graph.constants if c.name.startswith("const")]
    hints = {v: short_name(v.producer.op) if v.producer else "const" for v in values}
    for serial, value in enumerate(values):
        graph.rename(value, f"%{serial}")
    graph._serials.clear()
    for value in values:
        graph.rename(value, graph.fresh(hints[value]))
