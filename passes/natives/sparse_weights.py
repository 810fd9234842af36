"""How much of a stored weight is 2:4, as the checks ask it of the operator that reads it."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from sparqc.declared.natives import native
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.vocabulary.table import default_table
from sparqc.ir.weighted import Weighted, stored_array, weight_of
from sparqc.numerics.two_four import two_four_violations

_shares: WeakKeyDictionary[Graph, tuple[int, dict[Node, float]]] = WeakKeyDictionary()


@native("two_four_share")
def two_four_share(result: Value) -> float:
    """The share of the groups of four of a weight that are 2:4, of its INT8 codes where it has any.

    `result` is what the operator with that weight gives.  0.0 where it has none, where the
    reduction axis is no multiple of four long, and where the weight is zero throughout.
    """
    node = result.producer
    if node is None:
        return 0.0
    version, known = _shares.get(node.graph, (-1, {}))
    if version != node.graph.version:
        known = {}
        _shares[node.graph] = node.graph.version, known
    if node not in known:
        known[node] = _share(node)
    return known[node]


@native("two_four_broken")
def two_four_broken(result: Value) -> int:
    """How many groups of four of that weight hold more than two values that are not zero."""
    found, stored = _stored(result.producer)
    return (
        0 if found is None or stored is None else two_four_violations(stored, found.reduction_axis)
    )


@native("padded")
def padded(channels: int, multiple: int) -> int:
    """Channels, rounded up to a multiple."""
    return -(-channels // multiple) * multiple


def _share(node: Node) -> float:
    found, stored = _stored(node)
    if found is None or stored is None or not stored.any():
        return 0.0
    if stored.shape[found.reduction_axis] % 4:
        return 0.0
    return 1 - two_four_violations(stored, found.reduction_axis) * 4 / stored.size


def _stored(node: Node | None) -> tuple[Weighted | None, Array | None]:
    """The weight of an operator and its codes, or its floats."""
    table = default_table()
    found = weight_of(node, table) if node is not None else None
    if found is None:
        return None, None
    return found, stored_array(found.weight, table)
