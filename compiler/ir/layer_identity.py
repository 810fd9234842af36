"""Which operators compute a layer that a pass decided about, whatever they are called by now.

A pass that decides about a layer marks its operator; from then on the name that the operator had
goes with it (`Node.layers`): through rules, through the export, where a Linear becomes a MatMul
and an Add, and through a rule of the target that takes the operator with that name away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from sparqc.ir.graph import Graph, Node

R = TypeVar("R")


def mark_layer(node: Node) -> str:
    """Let an operator be known as a layer, and return the layer's name.

    That is the name of the value that it defines when it is first marked.  An operator that took
    the place of several layers is called after the first.
    """
    if not node.layers:
        node.layers = (node.output.name,)
    return node.layers[0]


def layers_of(node: Node) -> tuple[str, ...]:
    """The layers that an operator computes, or takes part in; where no pass marked it, the name
    of the value that it defines."""
    return node.layers or tuple(value.name for value in node.outputs[:1])


def decided(node: Node, rows: Mapping[str, R]) -> R | None:
    """What a pass decided about the operator: the first of its layers that has a row."""
    return next((rows[name] for name in layers_of(node) if name in rows), None)


def carriers(graph: Graph) -> dict[str, Node]:
    """The operator that gives the result of each layer: the last of those that compute it."""
    return {name: node for node in graph.nodes for name in layers_of(node)}
