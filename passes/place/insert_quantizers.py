"""How a quantizer is written into a graph: one operator on FX, Q and DQs on ONNX."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparqc.ir.graph import Graph, Node, Origin, TensorType, Value
from sparqc.ir.quantizers import DEQUANTIZE, FAKE_QUANTIZE, QUANTIZE

#: One operand slot of one node.
Slot = tuple[Node, str]


def insert_quantizer(
    graph: Graph,
    value: Value,
    scale: Value,
    axis: int | None,
    limits: tuple[int, int],
    readers: Sequence[Slot],
    origin: Origin,
) -> None:
    """Let the readers take `value` quantized with `scale`, along `axis` (None: per tensor).

    One Q on the value and, on ONNX, a DQ for each reader.  On FX one fake quantizer serves all: it
    is what a training loop wants, and becomes Q and DQs at export.
    """
    if graph.level == "fx":
        output = _fake_quantize(graph, value, scale, axis, limits, readers[0][0], origin)
        for reader, slot in readers:
            graph.redirect(reader, slot, value, output)
        return
    zero_point = _zero_point(graph, value, scale)
    operands = {"scale": scale, "zero_point": zero_point}
    codes = graph.create(
        QUANTIZE,
        {"x": value, **operands},
        {"axis": axis, "to": "i8"},
        types=[TensorType("i8", value.shape)],
        names=[f"{value.name}.q"],
        before=readers[0][0],
        origin=origin,
    ).output
    for reader, slot in readers:
        dequantize = graph.create(
            DEQUANTIZE,
            {"x": codes, **operands},
            {"axis": axis},
            types=[value.type],
            names=[f"{value.name}.dq"],
            before=reader,
            origin=origin,
        )
        graph.redirect(reader, slot, value, dequantize.output)


def _fake_quantize(
    graph: Graph,
    value: Value,
    scale: Value,
    axis: int | None,
    limits: tuple[int, int],
    before: Node,
    origin: Origin,
) -> Value:
    return graph.create(
        FAKE_QUANTIZE,
        {"x": value, "scale": scale, "zero_point": None},
        {"axis": axis, "low": limits[0], "high": limits[1]},
        types=[value.type],
        names=[f"{value.name}.qdq"],
        before=before,
        origin=origin,
    ).output


def _zero_point(graph: Graph, value: Value, scale: Value) -> Value:
    """Symmetric quantization: 0 for each scale."""
    assert scale.data is not None
    return graph.constant(np.zeros(scale.data.shape, np.int8), f"{value.name}.zero_point")
