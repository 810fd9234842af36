"""A region of a graph of which a rule can be written: connected, with one result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import networkx as nx

from sparqc.base.text import shortened
from sparqc.errors import UsageError
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.report.find_nodes import find_nodes

#: So many operators are named in an error.
NAMED = 4


@dataclass(frozen=True)
class Region:
    """Operators of a graph, each in front of those that read it; the last one is the root."""

    nodes: tuple[Node, ...]

    @property
    def root(self) -> Node:
        """The one operator that no other of the region reads."""
        return self.nodes[-1]

    @property
    def inputs(self) -> tuple[Value, ...]:
        """What the region reads and does not compute, constants among them, in its order."""
        read = dict.fromkeys(v for node in self.nodes for v in node.inputs)
        return tuple(v for v in read if v.producer not in self.nodes)

    def is_read_outside(self, node: Node) -> bool:
        """Whether something outside reads what an operator gives; an output of the graph is."""
        return any(
            value.is_output or not set(self.nodes).issuperset(value.readers)
            for value in node.outputs
        )


def find_region(graph: Graph, words: Sequence[str]) -> Region:
    """The operators that a person names, as one region.

    Raises UsageError where a name means nothing, and where they are not one connected region with
    one result.
    """
    meant = {node for word in words for node in find_nodes(graph, word)}
    nodes = [node for node in graph.nodes if node in meant]
    links = nx.DiGraph()
    links.add_nodes_from(nodes)
    links.add_edges_from(
        (v.producer, node) for node in nodes for v in node.inputs if v.producer in meant
    )
    _require_connected(links, graph, nodes)
    roots = [node for node in nodes if not any(links.successors(node))]
    if len(roots) > 1:
        raise UsageError(
            f"the region has {len(roots)} results that none of its operators reads: "
            f"{_names(roots)}",
            hint="a rule has one root: leave one of them out, or name the operator that joins them",
        )
    return Region((*(n for n in nodes if n is not roots[0]), roots[0]))


def _require_connected(links: nx.DiGraph, graph: Graph, nodes: Sequence[Node]) -> None:
    parts = sorted(nx.weakly_connected_components(links), key=lambda p: min(map(nodes.index, p)))
    if len(parts) == 1:
        return
    first, second = (sorted(part, key=nodes.index) for part in parts[:2])
    between = _between(graph, first, second)
    hint = "name the operators between them too"
    if between:
        hint = f"between them stand {_names(between)}: name these too"
    raise UsageError(
        f"no value leads from {_names(first)} to {_names(second)} within the region", hint=hint
    )


def _between(graph: Graph, first: Sequence[Node], second: Sequence[Node]) -> list[Node]:
    """The operators of a shortest way between two parts, empty where there is none."""
    links = nx.DiGraph((v.producer, n) for n in graph.nodes for v in n.inputs if v.producer)
    back = links.reverse(copy=False)
    # Against the stream, or by a common reader, only where no way leads along it.
    ways = [
        nx.shortest_path(whole, a, b)
        for whole in (links, back, links.to_undirected(as_view=True))
        for a in first
        for b in second
        if a in whole and b in whole and nx.has_path(whole, a, b)
    ]
    inside = {*first, *second}
    return [node for node in ways[0] if node not in inside] if ways else []


def _names(nodes: Iterable[Node]) -> str:
    return shortened([name_of(node) for node in nodes], NAMED)
