"""What the values of a graph are on one sample, and how its nodes stood when they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from sparqc.ir.constants import constant_expressions
from sparqc.ir.graph import Array, Attribute, Graph, Node, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.vocabulary.forms import NUMPY_DTYPES
from sparqc.ir.vocabulary.table import OperatorTable


@dataclass(frozen=True)
class Signature:
    """Everything that a node's results depend on: what it does, and the arrays that it reads."""

    op: str
    attributes: Mapping[str, Attribute]
    #: By slot, the arrays of the operands; the value itself where it is no known tensor.
    operands: tuple[tuple[str, object], ...]

    @classmethod
    def of(
        cls, node: Node, arrays: Mapping[Value, Array], stands_for: Mapping[Value, Value]
    ) -> Signature:
        """The signature of a node as it stands; `stands_for` says of some values which others
        their readers may take them for."""
        slots = node.operands.items()
        read = [(s, v) for s, o in slots for v in (o if isinstance(o, tuple) else (o,))]
        found = [(s, _read(v and stands_for.get(v, v), arrays)) for s, v in read]
        return cls(node.op, dict(node.attributes), tuple(found))

    def same(self, other: Signature) -> bool:
        """Whether two are equal; arrays are replaced, never changed, so that identity tells."""
        return (
            self.op == other.op
            and len(self.operands) == len(other.operands)
            and all(
                slot == other_slot and item is other_item
                for (slot, item), (other_slot, other_item) in zip(
                    self.operands, other.operands, strict=True
                )
            )
            and self.attributes.keys() == other.attributes.keys()
            and all(_same(a, other.attributes[name]) for name, a in self.attributes.items())
        )


def _read(value: Value | None, arrays: Mapping[Value, Array]) -> object:
    if value is None:
        return None
    return value.data if value.data is not None else arrays.get(value, value)


def _same(one: Attribute, other: Attribute) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return one is other
    return one == other


@dataclass
class Reference:
    """The arrays of a graph's values on one sample.

    `arrays` holds those of tensors that depend on the sample and that something reads: what follows
    from constants alone, such as the codes of a weight, is judged by what reads it.
    `outputs` holds those of the graph outputs, in order; `nodes` how each node stood.
    """

    arrays: dict[Value, Array] = field(default_factory=dict)
    outputs: list[Array] = field(default_factory=list)
    nodes: dict[Node, Signature] = field(default_factory=dict)
    #: How many operators were compared to make it.
    compared: int = 0

    @classmethod
    def of(cls, graph: Graph, sample: Sequence[Array], table: OperatorTable) -> Reference:
        """Run the graph; SparqcError where it does not run on the sample."""
        values = [v for v in tensors(graph, table) if v.reader_count or v.is_output]
        outputs, arrays = open_runner(graph, table).run(sample, values)
        found = dict(zip(values, arrays, strict=True))
        found |= dict(zip(graph.inputs, sample, strict=True))
        return cls(found, outputs, signatures(graph, found))


def signatures(graph: Graph, arrays: Mapping[Value, Array]) -> dict[Node, Signature]:
    """How each node of a graph stands."""
    return {node: Signature.of(node, arrays, {}) for node in graph.nodes}


def tensors(graph: Graph, table: OperatorTable) -> Iterator[Value]:
    """The results of nodes that are tensors, not constant expressions, and of use to somebody: of
    several results of a node a runner gives those alone."""
    constant = constant_expressions(graph, table)
    made = (v for node in graph.nodes for v in node.outputs if v.readers or v.is_output)
    return (v for v in made if is_tensor(v) and v not in constant)


def is_tensor(value: Value) -> bool:
    """Whether a value is known to be a tensor, of numbers that every runner gives: not complex."""
    return value.type.dtype in NUMPY_DTYPES


def unchanged(
    graph: Graph,
    before: Reference,
    known: Mapping[Value, Array],
    stands_for: Mapping[Value, Value] = MappingProxyType({}),
) -> Iterator[Node]:
    """The nodes that stand as they stood, and read what they read."""
    moved: set[Value] = set()  # other than they were, and no array tells
    for node in graph.nodes:
        was = before.nodes.get(node)
        same = was is not None and was.same(Signature.of(node, known, stands_for))
        if same and moved.isdisjoint(node.inputs):
            yield node
        else:
            moved.update(v for v in node.outputs if v not in known and v not in stands_for)
