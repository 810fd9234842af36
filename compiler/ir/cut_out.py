"""A part of a graph as a graph of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sparqc.ir.graph import Graph, Value


def cut_out(graph: Graph, reads: Sequence[Value], gives: Sequence[Value]) -> Graph:
    """The graph that computes some values from others: its inputs and outputs, in this order.

    A value may be both: what reads it reads the input, and the output is what computes it.
    """
    part = graph.clone()
    results = [part.value(v.name) for v in gives]
    inputs = []
    for value in reads:
        own = part.value(value.name)
        if own.producer is not None:
            given = part.add_input(f"{value.name}_in", value.type)
            part.replace(own, given)
            own = given
        inputs.append(own)
    part.inputs = inputs
    part.set_outputs(results)
    part.drop_dead()
    part.native = _without_ends(part)
    return part


def read_for(gives: Iterable[Value], known: Collection[Value]) -> list[Value]:
    """Which of the known values it takes to compute others."""
    reads: dict[Value, None] = {}
    stack = [v.producer for v in gives]
    seen = set(stack)
    while stack:
        node = stack.pop()
        for value in node.inputs if node is not None else ():
            if value in known:
                reads[value] = None
            elif value.producer not in seen:
                seen.add(value.producer)
                stack.append(value.producer)
    return list(reads)


def _without_ends(part: Graph) -> Any:
    """The adapter's data without what belongs to the inputs and outputs of the whole graph."""
    if part.native is None or part.level == "onnx":
        return part.native and replace(part.native, metadata=())
    from sparqc.ir.fx.native import FxNative  # comes with torch, which the ONNX level does without

    return FxNative(part.native.tensors)
