"""The part of a finished graph around what one application touched, as a model of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import onnx

from sparqc.ir.cut_out import cut_out
from sparqc.ir.graph import Graph, Node, Value
from sparqc.job.result import Result
from sparqc.job.write import write_for


def region(compiled: Result, names: Iterable[str]) -> tuple[onnx.ModelProto, int] | None:
    """The operators of those names, with the quantizers and weights in front of them and what reads
    them, as an ONNX model, and how many they are.

    None where none of them is left in the finished graph.
    """
    graph = compiled.graph
    nodes = _around(graph, names)
    inside = set(nodes)
    reads = {
        value: None
        for node in nodes
        for value in node.inputs
        if not value.is_const and value.producer not in inside
    }
    gives = [v for node in nodes for v in node.outputs if _leaves(v, inside)]
    if not gives:
        return None
    part = cut_out(graph, list(reads), gives)
    model = write_for(part, compiled.context.table, compiled.context.target)
    return model, len(part)


def _leaves(value: Value, inside: set[Node]) -> bool:
    return value.is_output or any(reader not in inside for reader in value.readers)


def _around(graph: Graph, names: Iterable[str]) -> list[Node]:
    """The operators that are named or that read what is, and what belongs to them in front."""
    found: dict[Node, None] = {}
    for name in names:
        if name in graph:
            value = graph.value(name)
            near = [value.producer] if value.producer else []
            for node in (*near, *value.readers):
                found.update(dict.fromkeys(_through_codes(node)))
    for node in list(found):
        for value in node.inputs:
            found.update(dict.fromkeys(_in_front(value.producer)))
    return [node for node in graph.nodes if node in found]


def _through_codes(node: Node) -> Iterable[Node]:
    """The operator, or the first ones behind it that are no quantizers."""
    yield node
    if node.op.startswith("q."):
        for value in node.outputs:
            for reader in value.readers:
                yield from _through_codes(reader)


def _in_front(node: Node | None) -> Iterable[Node]:
    """The quantizers that give a value."""
    if node is not None and node.op.startswith("q."):
        yield node
        for value in node.inputs:
            yield from _in_front(value.producer)


def touched(event: Mapping[str, Any]) -> list[str]:
    """The names that an event is about, as the finished graph may have them."""
    found = [event.get("name", ""), *event.get("after", ()), *event.get("before", ())]
    found += [slot.rpartition(".")[0] for slot in event.get("readers", ())]
    found += [row.get("value", row.get("layer", "")) for row in event.get("said", ())]
    return [name for name in dict.fromkeys(found) if name]
