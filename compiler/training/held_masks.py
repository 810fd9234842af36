"""The masks that a module holds already, as operators of its graph.

`sparsify`, torch.nn.utils.prune, torch.ao.pruning and Model Optimizer multiply a weight by its mask
in front of every reader.  Captured, that is a product of two constants like any other, which
folding would make one constant, a new weight without a mask.  ASP of Apex multiplies in its
optimizer, and the graph does not show it.  As `sparse.mask` on the user's own parameter it trains
as that parameter does, whatever passes run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import cast

import numpy as np
from torch import nn
from torch.nn.utils.prune import BasePruningMethod

from sparqc.capture.masks import masks as masks_beside
from sparqc.ir.fx.native import FxNative
from sparqc.ir.fx.tensor import array_of
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import weight_spec
from sparqc.training.normalization import batch_norm_behind
from sparqc.training.parametrization import parametrized, stored_names

#: A product with a bool mask, and one with a mask in floats.
_PRODUCTS = ("aten.mul.Tensor", "nn.mul")


def hold_masks(graph: Graph, module: nn.Module, table: OperatorTable) -> int:
    """Make each product of a masked parameter and its mask a `sparse.mask`, and put one behind
    each parameter that ASP masks; returns how many.

    The parameter gets the name of the weight: conv.weight, as before it was masked.  Layers that
    share a parameter and have equal masks share the masked weight too.  Model Optimizer multiplies
    weights that stay dense with ones, which is no mask.
    """
    masked = _pruned_names(module) | stored_names(module)
    parameters = dict(module.named_parameters(remove_duplicate=False))
    names = {name: name for name in parameters} | masked
    made: dict[Value, list[Node]] = {}
    for node, weight, mask in list(_products(graph, names, table)):
        if mask.name in parameters and parameters[mask.name].requires_grad:
            continue  # it may be 0 or 1 now
        if weight.name not in masked and bool((cast(Array, mask.data) != 0).all()):
            graph.replace(node.output, weight)
            continue
        alike = next((m for m in made.get(weight, ()) if _is_masked_by(m, mask)), None)
        if alike is None:
            alike = _masked(graph, node, weight, _as_bool(graph, mask))
            made.setdefault(weight, []).append(alike)
        graph.replace(node.output, alike.output)
    graph.drop_dead()
    made |= _beside(graph, module, table)
    for weight, nodes in made.items():
        _name(graph, weight, names.get(weight.name, weight.name), nodes)
    return len(made)


def _pruned_names(module: nn.Module) -> dict[str, str]:
    """The names of weights by those under which other tools keep their parameters:
    torch.nn.utils.prune, and any parametrization, such as those of torch.ao.pruning."""
    found: dict[str, str] = {}
    for name, part in module.named_modules(remove_duplicate=False):
        for hook in part._forward_pre_hooks.values():
            if isinstance(hook, BasePruningMethod):
                weight = f"{name}.{hook._tensor_name}".removeprefix(".")
                found[f"{weight}_orig"] = weight
        for leaf in parametrized(part):
            weight = f"{name}.{leaf}".removeprefix(".")
            found[f"{name}.parametrizations.{leaf}.original".removeprefix(".")] = weight
    return found


def _beside(graph: Graph, module: nn.Module, table: OperatorTable) -> dict[Value, list[Node]]:
    """A mask behind each parameter with one that lies beside it, in front of all its layers."""
    made: dict[Value, list[Node]] = {}
    for name, _, _, mask in masks_beside(module):
        weight = graph.value(name) if name in graph else None
        if weight is None or not weight.is_const or weight in made:
            continue
        readers = [r for r in weight.readers if _is_weight(weight, r, table)]
        if not readers or len(readers) < weight.reader_count:
            continue
        held = graph.constant(array_of(mask != 0, name), f"{name}.mask")
        node = _masked(graph, next(n for n in graph.nodes if n in set(readers)), weight, held)
        for reader in readers:
            for slot in reader.slots_of(weight):
                graph.redirect(reader, slot, weight, node.output)
        made[weight] = [node]
    return made


def _as_bool(graph: Graph, mask: Value) -> Value:
    """A mask as `sparse.mask` takes it."""
    assert mask.data is not None
    return mask if mask.data.dtype == np.bool_ else graph.constant(mask.data != 0, mask.name)


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
        if node.op not in _PRODUCTS:
            continue
        given = [_behind_conversions(value, table) for value in node.inputs]
        if len(given) != 2 or not all(v.is_const for v in given):
            continue
        weight, mask = sorted(given, key=lambda value: value.name not in names)
        masked = weight.name in names and mask.shape == weight.shape and _is_mask(mask)
        if masked and all(_is_weight(node.output, reader, table) for reader in node.output.readers):
            yield node, weight, mask


def _behind_conversions(value: Value, table: OperatorTable) -> Value:
    """What a mask was: torch.nn.utils.prune gives it the weight's type."""
    while value.producer is not None and table.has(value.producer.op, "converts"):
        value = next(value.producer.inputs)
    return value


def _is_mask(value: Value) -> bool:
    data = value.data
    return data is not None and (data.dtype == np.bool_ or bool(((data == 0) | (data == 1)).all()))


def _is_weight(value: Value, reader: Node, table: OperatorTable) -> bool:
    spec = weight_spec(reader, table)
    return spec is not None and reader.operands[spec.operand] is value


def _is_masked_by(node: Node, mask: Value) -> bool:
    known = node.operands["mask"]
    assert isinstance(known, Value) and known.data is not None and mask.data is not None
    return np.array_equal(known.data, mask.data != 0)


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
