"""How far behind its inputs a graph computes a value."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from sparqc.ir.graph import Graph, Value

_known: WeakKeyDictionary[Graph, tuple[int, dict[Value, int]]] = WeakKeyDictionary()


def depth_of(value: Value) -> int:
    """Where a value stands among the results of its graph: of two, the one at the end of the longer
    path from an input is the deeper one.

    No two results are equally deep: between paths of one length the names decide, which depend on
    neither the order of operands nor that of nodes.  Inputs and constants have the depth 0.
    """
    return 0 if value.producer is None else _depths(value.producer.graph)[value]


def _depths(graph: Graph) -> dict[Value, int]:
    """Kept as long as the graph does not change, so that to ask of each value stays cheap."""
    version, found = _known.get(graph, (-1, {}))
    if version != graph.version:
        lengths: dict[Value, int] = {}
        for node in graph.nodes:
            length = 1 + max((lengths.get(v, 0) for v in node.inputs), default=0)
            lengths.update(dict.fromkeys(node.outputs, length))
        ranked = sorted(lengths, key=lambda v: (lengths[v], len(v.name), v.name))
        found = {value: rank for rank, value in enumerate(ranked, 1)}
        _known[graph] = graph.version, found
    return found
