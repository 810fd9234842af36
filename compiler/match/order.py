"""An order of values and nodes that depends on what they compute, not on where they stand.

Where a choice has to be made between equal candidates (which of two operands of an Add a pattern
takes first, which node is visited first), it is made by a digest of the expression that defines a
value.  So the outcome depends neither on the order of the nodes in the graph, nor on the order of
operands that commute.  Names decide only between expressions that are equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np

from sparqc.ir.graph import Attribute, Graph, Node, Value
from sparqc.ir.vocabulary.table import OperatorTable

#: Sorts values: the digest of the defining expression, then the name.
Key = tuple[bytes, str]
_SIZE = 12


class Order:
    """The order of the values of one graph.

    Digests are computed when they are first asked for (each costs as much as the part of the graph
    above it that has none yet) and are kept: a value that a rewrite changes keeps its place.
    """

    def __init__(self, graph: Graph, table: OperatorTable) -> None:
        self.graph, self._table = graph, table
        self._digests: dict[Node, bytes] = {}

    def key(self, value: Value) -> Key:
        """What to sort values by."""
        return self._value_digest(value), value.name

    def node_key(self, node: Node) -> Key:
        """What to sort nodes by."""
        return self.key(node.outputs[0]) if node.outputs else (self._node_digest(node), "")

    def outputs_first(self) -> list[Node]:
        """Every node, each before those it reads, in an order that any graph of equal content has.

        The reverse of a depth-first walk from the graph outputs, then from nodes nobody reads.
        """
        found: list[Node] = []
        seen: set[Node] = set()
        for root in self._ends():
            self._walk(root, seen, found)
        return found[::-1]

    def _ends(self) -> Iterator[Node]:
        yield from (v.producer for v in self.graph.outputs if v.producer is not None)
        unread = [n for n in self.graph.nodes if not any(v.readers for v in n.outputs)]
        yield from sorted(unread, key=self.node_key) if len(unread) > 1 else unread

    def _walk(self, root: Node, seen: set[Node], found: list[Node]) -> None:
        if root in seen:
            return
        seen.add(root)
        stack = [(root, iter(self._sources(root)))]
        while stack:
            node, sources = stack[-1]
            following = next((n for n in sources if n not in seen), None)
            if following is None:
                stack.pop()
                found.append(node)
            else:
                seen.add(following)
                stack.append((following, iter(self._sources(following))))

    def _sources(self, node: Node) -> list[Node]:
        """The nodes that a node reads, without regard to the order of commuting operands."""
        values = [v for v in node.inputs if v.producer is not None]
        if len(values) > 1 and self._commutes(node):
            values.sort(key=self.key)
        return [v.producer for v in values if v.producer is not None]

    def _commutes(self, node: Node) -> bool:
        operator = self._table.get(node.op)
        return operator is not None and bool(operator.commutes)

    # -- digests ---------------------------------------------------------------------------------

    def _value_digest(self, value: Value) -> bytes:
        if value.producer is not None:
            return self._node_digest(value.producer) + value.index.to_bytes(4, "big")
        kind = "const" if value.is_const else "input"
        return _hash(f"{kind} {value.name} {value.type}".encode())

    def _node_digest(self, node: Node) -> bytes:
        """Without recursion: graphs are deeper than Python's stack."""
        stack = [node]
        while stack:
            top = stack[-1]
            if top in self._digests:
                stack.pop()
                continue
            missing = [
                v.producer for v in top.inputs if v.producer and v.producer not in self._digests
            ]
            if missing:
                stack.extend(missing)
            else:
                stack.pop()
                self._digests[top] = self._compute(top)
        return self._digests[node]

    def _compute(self, node: Node) -> bytes:
        operands = dict(node.operands)
        parts = {slot: self._operand_digest(operand) for slot, operand in operands.items()}
        operator = self._table.get(node.op)
        for a, b in operator.commutes if operator else ():
            if a in parts and b in parts:
                parts[a], parts[b] = sorted((parts[a], parts[b]))
        attributes = sorted((name, _attribute(v)) for name, v in node.attributes.items())
        return _hash(f"{node.op} {attributes} {list(parts)} ".encode() + b"|".join(parts.values()))

    def _operand_digest(self, operand: Value | tuple[Value, ...] | None) -> bytes:
        if operand is None:
            return b""
        if isinstance(operand, Value):
            return self._value_digest(operand)
        return b"".join(self._value_digest(v) for v in operand)


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=_SIZE).digest()


def _attribute(value: Attribute) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{_hash(np.ascontiguousarray(value).tobytes()).hex()}"
    return repr(value)
