"""The masks that a module holds already, as operators of its graph.

`sparsify` multiplies a weight by its mask in front of every reader.  Captured, that is a product of
two constants like any other, which folding would make one constant, a new weight without a mask.
As `sparse.mask` on the user's own parameter it trains as that parameter does, whatever passes run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from torch import nn

from sparqc.ir.fx.native import FxNative
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.training.normalization import batch_norm_behind
from sparqc.training.parametrization import stored_names

_PRODUCT = "aten.mul.Tensor"


def hold_masks(graph: Graph, module: nn.Module, table: OperatorTable) -> int:
    """Make each product of a masked parameter and its mask a `sparse.mask`; returns how many.

    The parameter gets the name of the weight: conv.weight, as before it was masked.  Layers that
    share a parameter and have equal masks share the masked weight too.
    """
    names = stored_names(module)
    made: dict[Value, list[Node]] = {}
    for node, weight, mask in list(_products(graph, names, table)):
        alike = next((m for m in made.get(weight, ()) if _is_masked_by(m, mask)), None)
        if alike is None:
            alike = _masked(graph, node, weight, mask)
            made.setdefault(weight, []).append(alike)
        graph.replace(node.output, alike.output)
    graph.drop_dead()
    for weight, nodes in made.items():
        _name(graph, weight, names[weight.name], nodes)
    return len(made)


def split_masks(graph: Graph) -> None:
    """A mask of its own for each layer that shares a masked weight and has a BatchNorm behind it.

    Folding then keeps it: what others read, a rule takes for a constant like any other.
    """
    for node in list(graph.nodes):
        if node.op != "sparse.mask":
            continue
        folding = [reader for reader in node.output.readers if batch_norm_behind(reader)]
        for reader in folding[: node.output.reader_count - 1]:
            copy = graph.create(
                node.op,
                dict(node.operands),
                types=[node.output.type],
                names=[graph.fresh(node.output.name)],
                before=node,
                origin=node.origin,
            )
            for slot in reader.slots_of(node.output):
                graph.redirect(reader, slot, node.output, copy.output)


def _products(
    graph: Graph, names: Mapping[str, str], table: OperatorTable
) -> Iterator[tuple[Node, Value, Value]]:
    """The products in which nothing but the weights of layers are masked."""
    for node in graph.nodes:
        given = list(node.inputs)
        if node.op != _PRODUCT or len(given) != 2 or not all(v.is_const for v in given):
            continue
        weight, mask = sorted(given, key=lambda value: value.type.dtype == "bool")
        masked = weight.name in names and mask.type.dtype == "bool" and mask.shape == weight.shape
        if masked and all(_is_weight(node.output, reader, table) for reader in node.output.readers):
            yield node, weight, mask


def _is_weight(value: Value, reader: Node, table: OperatorTable) -> bool:
    row = table.get(reader.op)
    return (
        row is not None and row.weight is not None and reader.operands[row.weight.operand] is value
    )


def _is_masked_by(node: Node, mask: Value) -> bool:
    known = node.operands["mask"]
    assert isinstance(known, Value) and known.data is not None and mask.data is not None
    return np.array_equal(known.data, mask.data)


def _masked(graph: Graph, product: Node, weight: Value, mask: Value) -> Node:
    return graph.create(
        "sparse.mask",
        {"w": weight, "mask": mask},
        types=[weight.type],
        before=product,
        origin=product.origin,
    )


def _name(graph: Graph, weight: Value, name: str, nodes: list[Node]) -> None:
    """Names as `prune` gives them; what is known of the parameter is known under the new one."""
    if name in graph:
        graph.rename(graph.value(name), graph.fresh(name))
    native, before = graph.native, weight.name
    if isinstance(native, FxNative) and before in native.tensors:
        tensors = {name if key == before else key: kept for key, kept in native.tensors.items()}
        parameters = native.parameters - {before} | {name}
        graph.native = replace(native, tensors=tensors, parameters=parameters)
    graph.rename(weight, name)
    for node in nodes:
        mask = node.operands["mask"]
        graph.rename(node.output, graph.fresh(f"{name}.masked"))
        if isinstance(mask, Value):
            graph.rename(mask, graph.fresh(f"{name}.mask"))
