"""What a pass did to the constants of a graph, layer by layer, so that it can be done in part.

A pass works on a copy.  What it changed there is read off by comparing, and only what is to be kept
is done to the graph itself: what is refused leaves no trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.quantizers import QUANTIZERS
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import weight_of


@dataclass(frozen=True)
class Change:
    """A constant with other numbers, or a new one, and who reads it: (output name, slot)."""

    name: str
    data: Array
    readers: tuple[tuple[str, str], ...]


#: The changes by the layer that they belong to, in the order of the graph.
Changes = dict[str, tuple[Change, ...]]


def changes_between(before: Graph, after: Graph, table: OperatorTable) -> Changes:
    """What differs between a graph and a copy of it whose constants were changed."""
    found: dict[str, tuple[Change, ...]] = {}
    for value in after.constants:
        old = before.value(value.name) if value.name in before else None
        if value.reader_count and (old is None or not _is_same(old, value)):
            readers = tuple(
                (node.output.name, slot) for node in value.readers for slot in node.slots_of(value)
            )
            assert value.data is not None
            layer = layer_of(value.readers[0], table).output.name
            change = Change(value.name, value.data, readers)
            found[layer] = (*found.get(layer, ()), change)
    order = {node.output.name: i for i, node in enumerate(after.nodes)}
    return dict(sorted(found.items(), key=lambda item: order[item[0]]))


def make(graph: Graph, changes: Sequence[Change]) -> None:
    """Do the changes to a graph that `before` was compared with, or to a copy of it."""
    for change in changes:
        known = graph.value(change.name) if change.name in graph else None
        value = known if known is not None and known.is_const else None
        if value is None:
            value = graph.constant(change.data, change.name)
        value.data = change.data
        for name, slot in change.readers:
            node = graph.value(name).producer
            assert node is not None
            if node.operands.get(slot) is not value:
                graph.set_operand(node, slot, value)


def make_all(graph: Graph, worked: Graph, table: OperatorTable) -> None:
    """Do everything to a graph that was done to a copy of it."""
    for changes in changes_between(graph, worked, table).values():
        make(graph, changes)


def _is_same(old: Value, new: Value) -> bool:
    if old.data is new.data:
        return True
    if old.data is None or new.data is None or old.data.dtype != new.data.dtype:
        return False
    nan = old.data.dtype.kind == "f"
    return np.array_equal(old.data, new.data, equal_nan=nan)


def layer_of(node: Node, table: OperatorTable) -> Node:
    """The layer that a constant of an operator belongs to: the operator itself, the one whose
    weight it makes, or the one whose output a BatchNorm normalises."""
    while weight_of(node, table) is None and node.output.reader_count == 1:
        if node.op not in QUANTIZERS and node.op != "sparse.mask":
            break
        node = node.output.readers[0]
    x = node.operands.get("x")
    if node.op == "nn.batch_norm" and isinstance(x, Value) and x.producer is not None:
        return x.producer
    return node
