"""Quantizers that have no scale yet."""

from __future__ import annotations

import numpy as np

from sparqc.ir.graph import Node, Value

#: What turns floats into codes, and codes into floats; q.qdq does both.
QUANTIZERS = frozenset({"q.qdq", "q.quantize"})
DEQUANTIZERS = frozenset({"q.dequantize"})


def is_uncalibrated(node: Node) -> bool:
    """Whether the node quantizes or dequantizes with a scale that is still NaN."""
    if node.op not in QUANTIZERS | DEQUANTIZERS:
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
