"""Put a 2:4 mask on the weight of a layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.numerics.two_four import is_two_four
from sparqc.passes.masks.sparse_layers import SparseLayer


def apply_mask(
    graph: Graph,
    layer: SparseLayer,
    mask: NDArray[np.bool_],
    table: OperatorTable,
    repaired: Array | None = None,
) -> float:
    """Mask a weight, and give it the repaired numbers where there are any.

    Returns the share of the squared norm of the weight, as it was, that stood where the mask has
    zeros.
    """
    data = layer.data(table)
    held = held_mask(layer.weight)
    if held is not None:
        return _tighten(graph, held, layer, mask, data, repaired)
    share = _removed(data, mask)
    weight = layer.weight if repaired is None else _changed(graph, layer.weight, repaired)
    if graph.level == "onnx":
        kept = (data if repaired is None else repaired) * mask
        graph.replace(weight, graph.constant(kept.astype(data.dtype), f"{weight.name}.masked"))
        return share
    readers = weight.readers
    # The mask is an operator, so that whoever trains this graph keeps it.
    node = graph.create(
        "sparse.mask",
        {"w": weight, "mask": graph.constant(mask, f"{weight.name}.mask")},
        types=[weight.type],
        names=[f"{weight.name}.masked"],
        before=_first(graph, readers),
        origin=layer.node.origin.after("prune"),
    )
    for reader in readers:
        for slot in reader.slots_of(weight):
            graph.redirect(reader, slot, weight, node.output)
    return share


def held_mask(weight: Value) -> Node | None:
    """The operator that masks a weight already."""
    made = weight.producer
    return made if made is not None and made.op == "sparse.mask" else None


def _tighten(
    graph: Graph,
    held: Node,
    layer: SparseLayer,
    mask: NDArray[np.bool_],
    data: Array,
    repaired: Array | None,
) -> float:
    """Let the mask that a weight has take away what the new one does; one that is 2:4 stays.

    A weight that stays may be zero by now: it is trained further all the same.
    """
    stored, known = held.operands["w"], held.operands["mask"]
    assert isinstance(stored, Value) and isinstance(known, Value) and known.data is not None
    kept = known.data != 0
    if not is_two_four(kept, layer.axis):
        kept = kept & mask
        graph.set_operand(held, "mask", graph.constant(kept, known.name))
    if repaired is not None:
        _changed(graph, stored, repaired)
    return _removed(data, kept)


def _changed(graph: Graph, weight: Value, data: Array) -> Value:
    """The weight with other numbers; a constant keeps its name, by which training knows it."""
    if weight.data is not None:
        weight.data = data.astype(weight.data.dtype)
        return weight
    new = graph.constant(data, f"{weight.name}.repaired")
    graph.replace(weight, new)
    return new


def _removed(data: Array, mask: NDArray[np.bool_]) -> float:
    squares = np.square(data, dtype=np.float64)
    total = float(squares.sum())
    kept = float(np.multiply(squares, mask, out=squares).sum())
    return 0.0 if total == 0 else 1 - kept / total


def _first(graph: Graph, nodes: tuple[Node, ...]) -> Node:
    """The earliest of some nodes: usually there is just one."""
    if len(nodes) == 1:
        return nodes[0]
    wanted = set(nodes)
    return next(n for n in graph.nodes if n in wanted)
