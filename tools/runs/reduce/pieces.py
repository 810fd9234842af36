"""Some operators of a graph as a graph of their own."""

from __future__ import annotations

from collections.abc import Collection

from sparqc.ir.cut_out import cut_out
from sparqc.ir.graph import Graph


def piece(graph: Graph, names: Collection[str]) -> Graph:
    """The operators that define these names: what they read of others becomes an input, what
    others read of them, or nobody, an output.  Constants come along."""
    nodes = [n for n in graph.nodes if n.outputs and n.outputs[0].name in names]
    inside = set(nodes)
    reads = {
        value: None
        for node in nodes
        for value in node.inputs
        if not value.is_const and value.producer not in inside
    }
    gives = [
        value
        for node in nodes
        for value in node.outputs
        if value.is_output
        or not value.readers  # so that its operator stays
        or any(reader not in inside for reader in value.readers)
    ]
    return cut_out(graph, list(reads), gives)


def with_outputs(graph: Graph, names: Collection[str]) -> Graph:
    """The graph with these of its outputs only, and what computes them."""
    return cut_out(graph, graph.inputs, [v for v in graph.outputs if v.name in names])


def without(graph: Graph, name: str) -> Graph | None:
    """The graph in which readers of an operator read its first input of the same type instead; None
    where it has none."""
    copy = graph.clone()
    value = copy.value(name)
    assert value.producer is not None
    same = (v for v in value.producer.inputs if not v.is_const and v.type == value.type)
    other = next(same, None)
    if other is None or (value.is_output and (other.is_input or other.is_output)):
        return None
    copy.replace(value, other)
    copy.drop_dead()
    return with_outputs(copy, [v.name for v in copy.outputs])
