"""What a model states of its own values, where inference can tell it and where it cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]

from sparqc.ir.vocabulary.onnx_schema import schema_of


def forget_values(model: onnx.ModelProto) -> None:
    """Drop the types of all values that an operator known to onnx gives: inference finds them."""
    opaque = opaque_values(model)
    graph = model.graph
    replace_items(graph.value_info, [v for v in graph.value_info if v.name in opaque])


def open_sizes(model: onnx.ModelProto) -> bool:
    """Let sizes of -1 be open ones, as runtimes do; returns whether an input had one.

    What inference made of them is no size at all, and is dropped.
    """
    inputs = [_opened(value) for value in model.graph.input]
    if any(inputs):
        forget_values(model)
    for value in (*model.graph.output, *model.graph.value_info):
        _opened(value)
    return any(inputs)


def opaque_values(model: onnx.ModelProto) -> frozenset[str]:
    """The values that operators without a schema give."""
    return frozenset(_opaque(model.graph, opsets_of_model(model)))


def opsets_of_model(model: onnx.ModelProto) -> dict[str, int]:
    """The version of each domain; "" is ONNX's own."""
    return {"" if i.domain == "ai.onnx" else i.domain: i.version for i in model.opset_import}


def replace_items(field: Any, items: Sequence[Message]) -> None:
    """Let a repeated field hold some of its own items, in that order."""
    copies = [type(item).FromString(item.SerializeToString()) for item in items]
    del field[:]
    field.extend(copies)


def _opaque(graph: onnx.GraphProto, opsets: Mapping[str, int]) -> Iterator[str]:
    for node in graph.node:
        domain = "" if node.domain == "ai.onnx" else node.domain
        if schema_of(node.op_type, domain, opsets.get(domain, 1)) is None:
            yield from node.output


def _opened(value: onnx.ValueInfoProto) -> bool:
    dims = [d for d in value.type.tensor_type.shape.dim if d.dim_value < 0]
    for dim in dims:
        dim.ClearField("dim_value")
    return bool(dims)
