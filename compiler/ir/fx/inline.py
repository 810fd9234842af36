"""Regions that an inference graph needs no border around: `no_grad`, and autocast switched off."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from sparqc.ir.fx.fold import attribute


def inlined(module: fx.GraphModule) -> fx.Graph:
    """The graph with the contents of such regions in their place; the same object without any."""
    graph = module.graph
    if not any(_region(node, module) for node in graph.nodes):
        return graph
    flat = fx.Graph()
    flat.set_codegen(graph._codegen)
    flat.output(_copy(module, flat, {}))
    return flat


def _copy(module: fx.GraphModule, flat: fx.Graph, made: dict[fx.Node, Any]) -> Any:
    """Copy a graph's nodes and return its result; `made` says what placeholders stand for."""
    for node in module.graph.nodes:
        region = _region(node, module)
        if node in made or _is_body(node, module):
            continue
        if node.op == "output":
            return fx.map_arg(node.args[0], made.__getitem__)
        if region is not None:
            inner, args = region
            given = (made[a] if isinstance(a, fx.Node) else a for a in args)
            inputs = (n for n in inner.graph.nodes if n.op == "placeholder")
            made[node] = _copy(inner, flat, dict(zip(inputs, given, strict=True)))
        elif node.target is operator.getitem and isinstance(made[node.args[0]], list | tuple):
            made[node] = made[node.args[0]][node.args[1]]
        else:
            made[node] = flat.node_copy(node, made.__getitem__)
    return None


def _is_body(node: fx.Node, module: fx.GraphModule) -> bool:
    """Whether a node only fetches the contents of such regions."""
    users = list(node.users)
    return node.op == "get_attr" and bool(users) and all(_region(u, module) for u in users)


def _region(node: fx.Node, module: fx.GraphModule) -> tuple[fx.GraphModule, Any] | None:
    """The graph of a region, and the values that enter it; None for every other node."""
    higher = torch.ops.higher_order
    if node.op != "call_function":
        return None
    if node.target is higher.wrap_with_set_grad_enabled:
        _, body, *args = node.args
    elif node.target is higher.wrap_with_autocast and node.args[2] is False:
        _, _, _, _, body, *args = node.args
    else:
        return None
    found = attribute(module, str(body.target))  # type: ignore[union-attr]
    return (found, args) if isinstance(found, fx.GraphModule) else None
