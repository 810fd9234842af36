"""The graph of a prepared module with what training has made of its weights."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from sparqc.errors import SparqcError
from sparqc.ir.constants import constant_value, is_constant
from sparqc.ir.fx.tensor import array_of, tensor_of
from sparqc.ir.graph import Array, Graph, Node, TensorType, Value, dtype_name
from sparqc.training.fake_quantize import learned_step, weight_scale
from sparqc.training.normalization import operand
from sparqc.training.prepared import Prepared, Recipe


def tensor_at(module: Prepared, place: str) -> torch.Tensor:
    """The parameter or buffer of the body at a place."""
    owner, _, leaf = place.rpartition(".")
    return cast(torch.Tensor, getattr(module.body.get_submodule(owner), leaf))


def trained_graph(module: Prepared) -> Graph:
    """The graph with the weights and scales that the module has now.

    Raises SparqcError, naming the weight, where one is NaN or infinite.
    """
    recipe = module.recipe
    graph = recipe.graph.clone()
    for name, place in recipe.written.places.items():
        tensor = tensor_at(module, place)
        if log := recipe.written.learned.get(place):
            tensor = learned_step(tensor, tensor_at(module, log)).detach()
        _take(graph.value(name), tensor, place)
    return graph


def settled(graph: Graph, recipe: Recipe) -> Graph:
    """The graph, with the scales of weights that follow from these, and the weights on their codes:
    then folding cannot move a weight that lies between two of them."""
    for node in graph.nodes:
        if node.op == "q.qdq":
            _settle(node, recipe)
    return graph


def _take(value: Value, tensor: torch.Tensor, place: str) -> None:
    before = cast(Array, value.data)
    after = array_of(tensor, place)
    if after.shape != before.shape:
        raise SparqcError(
            f"{place} has the shape {list(after.shape)}, and had {list(before.shape)} when it was "
            "prepared",
            hint="where ZeRO-3 or FSDP have cut it among processes, gather the parameters first",
        )
    if after.dtype.kind == "f" and np.isfinite(before).all() and not np.isfinite(after).all():
        bad = int((~np.isfinite(after)).sum())
        raise SparqcError(
            f"{place} has {bad} numbers of {after.size} that are NaN or infinite",
            hint="the training diverged: go back to an earlier checkpoint, with a smaller step",
        )
    value.data = np.array(after.astype(before.dtype, copy=False))


def _settle(node: Node, recipe: Recipe) -> None:
    x, scale, table = operand(node, "x"), operand(node, "scale"), recipe.context.table
    if x is None or scale is None or not is_constant(x, table):
        return
    if scale.name in recipe.written.derived:
        _follow(node, x, scale, recipe)
    weight = x if x.data is not None else operand(cast(Node, x.producer), "w")
    if weight is not None and weight.data is not None and weight.reader_count == 1:
        settled = cast(Array, constant_value(node.output, table))
        weight.data = settled.astype(weight.data.dtype)


def _follow(node: Node, weight: Value, scale: Value, recipe: Recipe) -> None:
    """The scale as the module computes it from the weight."""
    array = cast(Array, constant_value(weight, recipe.context.table))
    axis, high = cast("int | None", node.attributes["axis"]), cast(int, node.attributes["high"])
    scale.data = weight_scale(tensor_of(np.array(array, np.float32)), axis, high).numpy()
    scale.type = TensorType(dtype_name(scale.data.dtype), scale.data.shape)
