"""Metadata that are no text: anybody may have written them, and no network needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import onnx

from sparqc.ir.onnx.order import subgraphs_of


def is_text(text: object) -> bool:
    """Whether it is text: protobuf hands out what is no UTF-8 as bytes."""
    return isinstance(text, str)


def has_damaged_metadata(model: onnx.ModelProto) -> bool:
    """Whether some metadata are no text in UTF-8."""
    return any(_damaged(holder) for holder in _holders(model))


def drop_damaged_metadata(model: onnx.ModelProto) -> None:
    """Take the metadata out that are no text in UTF-8."""
    for holder in _holders(model):
        for index in reversed(_damaged(holder)):
            del holder.metadata_props[index]


def _damaged(holder: Any) -> list[int]:
    entries = enumerate(holder.metadata_props)
    return [i for i, entry in entries if not (is_text(entry.key) and is_text(entry.value))]


def _holders(model: onnx.ModelProto) -> Iterator[Any]:
    yield model
    for function in model.functions:
        yield function
        yield from _in_nodes(function.node)
    yield from _in_graph(model.graph)


def _in_graph(graph: onnx.GraphProto) -> Iterator[Any]:
    yield graph
    yield from (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    yield from _in_nodes(graph.node)


def _in_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[Any]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in subgraphs_of(attribute):
                yield from _in_graph(graph)
