"""What of an FX graph the operator table does not spell in ONNX, in the smallest parts that stand
alone.

A part is one operator, in most cases.  What a tensor of ONNX cannot carry ties operators together:
a list, a complex number.  A symbolic size does not: it is computed again inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sparqc.ir.dtypes import numpy_dtype
from sparqc.ir.graph import Graph, Node, TensorType, Value
from sparqc.ir.vocabulary.table import OperatorTable


@dataclass(frozen=True)
class Region:
    """Nodes that are exported together, in the order of the graph."""

    nodes: tuple[Node, ...]
    #: Nodes that give sizes to these, and are computed again for them.
    sizes: tuple[Node, ...] = ()

    @property
    def inputs(self) -> list[Value]:
        """What it reads of the graph around it, constants included."""
        inside = {v for node in (*self.sizes, *self.nodes) for v in node.outputs}
        read = (v for node in (*self.sizes, *self.nodes) for v in node.inputs)
        return [v for v in dict.fromkeys(read) if v not in inside]

    @property
    def outputs(self) -> list[Value]:
        """What the graph around it reads of it."""
        inside = set(self.nodes)
        made = (v for node in self.nodes for v in node.outputs)
        return [v for v in made if v.is_output or not inside.issuperset(v.readers)]


def region_of(node: Node) -> Region:
    """A node alone, with the sizes that it reads."""
    return _with_sizes([node])


def regions_of(graph: Graph, table: OperatorTable) -> list[Region]:
    """The parts that no row of the table writes, in the order of the graph."""
    found: dict[Node, frozenset[Node]] = {}
    for node in graph.nodes:
        if node in found or not _is_outside(node, table):
            continue
        together, before = _tied(node), 0
        while before != len(together) > 1:
            before = len(together)
            together = _closed(graph, together.union(*(found.get(n, ()) for n in together)))
        found.update(dict.fromkeys(together, frozenset(together)))
    place = {node: index for index, node in enumerate(graph.nodes)}
    return [
        _with_sizes(sorted(nodes, key=place.__getitem__)) for nodes in dict.fromkeys(found.values())
    ]


def in_order(graph: Graph, regions: Iterable[Region]) -> Iterator[Node | Region]:
    """Nodes and regions, each behind what it reads."""
    belongs: Mapping[Node, Region] = {node: r for r in regions for node in r.nodes}
    done: set[Node | Region] = set()
    for root in graph.nodes:
        stack: list[Node | Region] = [belongs.get(root, root)]
        while stack:
            unit = stack[-1]
            missing = [] if unit in done else [
                belongs.get(v.producer, v.producer)
                for v in unit.inputs
                if v.producer is not None and belongs.get(v.producer, v.producer) not in done
            ]  # fmt: skip
            if missing and len(stack) <= len(graph):  # no longer where two regions form a circle
                stack.extend(reversed(missing))
                continue
            stack.pop()
            if unit not in done:
                done.add(unit)
                yield unit


def _is_outside(node: Node, table: OperatorTable) -> bool:
    row = table.get(node.op)
    return (row is None or row.onnx is None) and not node.op.startswith("onnx.")


def _is_tensor(type: TensorType) -> bool:
    """Whether ONNX has tensors of that kind."""
    dtype = numpy_dtype(type.dtype)
    return dtype is not None and dtype.kind != "c"


def _ties(value: Value) -> bool:
    """Whether a value can only go from one operator to another where both are exported together.

    Of a type that is merely unknown nothing is said: its operator is one of the table.
    """
    if value.type.dtype in ("sym", "?") or value.producer is None:
        return False
    return not _is_tensor(value.type)


def _tied(node: Node) -> set[Node]:
    """A node, and all that it has to be exported with."""
    found, stack = {node}, [node]
    while stack:
        current = stack.pop()
        near = [v.producer for v in current.inputs if _ties(v)]
        near += [reader for v in current.outputs if _ties(v) for reader in v.readers]
        for other in near:
            if other is not None and other not in found:
                found.add(other)
                stack.append(other)
    return found


def _closed(graph: Graph, nodes: set[Node]) -> set[Node]:
    """The nodes, and all on a way from one of them to another."""
    behind: set[Node] = set()
    for node in graph.nodes:
        if any(v.producer in behind or v.producer in nodes for v in node.inputs if v.producer):
            behind.add(node)
    before: set[Node] = set()
    for node in reversed(list(graph.nodes)):
        if any(r in before or r in nodes for v in node.outputs for r in v.readers):
            before.add(node)
    return nodes | (behind & before)


def _with_sizes(nodes: list[Node]) -> Region:
    """The region of some nodes, with all that gives them sizes up to tensors."""
    sizes: dict[Node, None] = {}

    def add(node: Node) -> None:
        for value in node.inputs:
            producer = value.producer
            if value.type.dtype != "sym" or producer is None:
                continue
            if producer not in sizes and producer not in nodes:
                add(producer)
                sizes[producer] = None

    for node in nodes:
        add(node)
    return Region(tuple(nodes), tuple(sizes))


def unknown_value(region: Region) -> Value | None:
    """A value at the border of a region that is no tensor of a known type; None without any."""
    for value in (*region.inputs, *region.outputs):
        known = _is_tensor(value.type) and value.shape is not None
        if not known and value.type.dtype != "sym":
            return value
    return None
