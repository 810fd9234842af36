"""A graph as names: what is cheap to keep of it, to compare with what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparqc.ir.graph import Array, Attribute, Graph, Node, Value

#: What a slot reads: a name, several, or nothing.
Read = str | tuple[str, ...] | None


@dataclass(frozen=True)
class Operator:
    """One node: what it computes, from which names."""

    op: str
    operands: Mapping[str, Read]
    attributes: Mapping[str, Attribute]
    outputs: tuple[str, ...]
    layers: tuple[str, ...]
    module: str
    source: str
    rules: tuple[str, ...]

    @classmethod
    def of(cls, node: Node) -> Operator:
        """The node as it stands."""
        return cls(
            node.op,
            {slot: _read(operand) for slot, operand in node.operands.items()},
            dict(node.attributes),
            tuple(value.name for value in node.outputs),
            node.layers,
            node.origin.module,
            node.origin.source,
            node.origin.rules,
        )

    @property
    def reads(self) -> tuple[str, ...]:
        """Every name that it reads."""
        found: list[str] = []
        for read in self.operands.values():
            found += [read] if isinstance(read, str) else read or ()
        return tuple(found)


@dataclass(frozen=True)
class Outline:
    """A graph as it stood: nodes by the name of their first output, constants by theirs.

    Arrays are kept, not copied: a pass replaces them rather than writing into them.
    """

    nodes: Mapping[str, Operator]
    constants: Mapping[str, Array]
    outputs: tuple[str, ...]
    #: The type of each input and each output of a node, as text is too slow to make: as values.
    dtypes: Mapping[str, str]

    @classmethod
    def of(cls, graph: Graph) -> Outline:
        """The graph as it stands."""
        nodes = {n.outputs[0].name: Operator.of(n) for n in graph.nodes if n.outputs}
        constants = {v.name: v.data for v in graph.values if v.data is not None}
        dtypes = {v.name: v.type.dtype for v in graph.values}
        return cls(nodes, constants, tuple(v.name for v in graph.outputs), dtypes)


def same_attributes(a: Mapping[str, Attribute], b: Mapping[str, Attribute]) -> bool:
    """Whether two nodes have the same attributes."""
    return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)


def same_array(a: Array, b: Array) -> bool:
    """Whether two constants are equal, NaN to NaN; arrays that are one object at once."""
    if a is b:
        return True
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    digests = getattr(a, "digest", ""), getattr(b, "digest", "")
    if any(digests):  # of dumps without weights
        return digests[0] == digests[1]
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and same_array(a, b)
    return type(a) is type(b) and bool(a == b)


def _read(operand: Value | tuple[Value, ...] | None) -> Read:
    if operand is None:
        return None
    if isinstance(operand, Value):
        return operand.name
    return tuple(value.name for value in operand)
