"""How one operator differs from others of its kind."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from sparqc.declared.natives import native
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.layer_names import name_of

_firsts: WeakKeyDictionary[Graph, tuple[int, dict[tuple[str, str], dict[str, Node]]]] = (
    WeakKeyDictionary()
)


@native("differing")
def differing(y: Value, name: str) -> str:
    """The first other operator of the same kind that has another value of an attribute; "" where
    there is none."""
    if (node := y.producer) is None:
        return ""
    first = _first_with_each(node.graph, node.op, name)
    given = str(node.attributes.get(name))
    return next((name_of(other) for value, other in first.items() if value != given), "")


def _first_with_each(graph: Graph, op: str, name: str) -> dict[str, Node]:
    """The first operator of a kind with each value of an attribute; kept as long as the graph does
    not change, so that asking each of them stays linear."""
    version, known = _firsts.get(graph, (-1, {}))
    if version != graph.version:
        known = {}
        _firsts[graph] = graph.version, known
    if (op, name) not in known:
        found: dict[str, Node] = {}
        for node in graph.nodes:
            if node.op == op:
                found.setdefault(str(node.attributes.get(name)), node)
        known[op, name] = found
    return known[op, name]
