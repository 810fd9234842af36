"""Quantizers that have no scale yet."""

from __future__ import annotations

import numpy as np

from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.quantizers import QUANTIZERS


def is_uncalibrated(node: Node) -> bool:
    """Whether the node quantizes or dequantizes with a scale that is still NaN."""
    if node.op not in QUANTIZERS:
        return False
    scale = node.operands.get("scale")
    return (
        isinstance(scale, Value)
        and scale.data is not None
        and scale.data.dtype.kind == "f"
        and bool(np.isnan(scale.data).any())
    )


def source(node: Node) -> Value:
    """What a quantizer quantizes, seen through uncalibrated quantizers in front of it."""
    value = node.operands["x"]
    assert isinstance(value, Value)
    before = value.producer
    return source(before) if before is not None and is_uncalibrated(before) else value


def without_uncalibrated(graph: Graph) -> Graph:
    """A copy that hands on what such quantizers would: a NaN scale makes all behind it NaN in some
    runners, and costs a walk through the numbers in the others."""
    copy = graph.clone()
    leave_out_uncalibrated(copy)
    return copy


def leave_out_uncalibrated(graph: Graph) -> None:
    """Take such quantizers out of the graph itself."""
    for node in graph.nodes:
        if is_uncalibrated(node):
            value = node.operands["x"]
            assert isinstance(value, Value)
            graph.replace(node.output, value)
    graph.drop_dead()
