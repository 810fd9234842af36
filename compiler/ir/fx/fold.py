"""Tensors that a model computes from nothing but constants: masks, positions, filled buffers.

They become constants while the graph is read.  The calls run for real, in the order of the graph,
so that tensors which are filled in place come out right.  Parameters and buffers do not count:
what is computed from weights stays in the graph, where patterns see it and training reaches it.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import fx

from sparqc.ir.fx.alias import changed_input
from sparqc.ir.fx.schema import map_values
from sparqc.ir.fx.tensor import DTYPES

#: They take no numbers from their first argument: new_* its type, *_like its shape too.
_FROM_TYPE = ("new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like")
#: A copy of a tensor that stands in the model's source as a literal.
_LITERALS = ("lift_fresh_copy",)
#: No single tensor larger than this is computed ahead (16 MB of f32).
_LARGEST = 1 << 22


def foldable(graph: fx.Graph) -> frozenset[fx.Node]:
    """The calls whose results are known without any input."""
    known: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "call_function" and _is_known(node, known):
            known.add(node)
    for node in graph.nodes:
        # A known tensor that takes in an input's numbers later is not known any more.
        if node not in known and changed_input(node) in known:
            return frozenset()
    return frozenset(known)


def _is_known(node: fx.Node, known: set[fx.Node]) -> bool:
    if node.target is operator.getitem:
        return node.all_input_nodes[0] in known
    if not isinstance(node.target, torch._ops.OpOverload) or node.target.namespace != "aten":
        return False
    if torch.Tag.nondeterministic_seeded in node.target.tags or not _is_small(node.meta.get("val")):
        return False
    packet = node.target._overloadpacket.__name__
    if packet in _LITERALS:
        return True
    if packet in _FROM_TYPE:
        return all(argument in known for argument in node.all_input_nodes[1:])
    return all(argument in known for argument in node.all_input_nodes)


def _is_small(value: Any) -> bool:
    """Whether a result consists of tensors of a known and moderate size."""
    items = value if isinstance(value, list | tuple) else [value]
    return all(
        isinstance(item, torch.Tensor)
        and item.dtype in DTYPES
        and all(isinstance(size, int) for size in item.shape)
        and prod(item.shape) <= _LARGEST
        for item in items
    )


def compute(node: fx.Node, known: Mapping[fx.Node, Any], module: fx.GraphModule) -> Any:
    """Run one foldable call for real."""

    def argument(source: fx.Node) -> Any:
        if source in known:
            return known[source]
        if source.op == "get_attr":
            return attribute(module, str(source.target))
        like = node.meta["val"].shape
        return torch.empty((), dtype=source.meta["val"].dtype).expand(like)

    target: Any = node.target
    with torch.no_grad():
        args = map_values(node.args, argument, fx.Node)
        return target(*args, **map_values(dict(node.kwargs), argument, fx.Node))


def attribute(module: torch.nn.Module, path: str) -> Any:
    """What a dotted path names: a tensor, or a submodule."""
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part)
    return found
