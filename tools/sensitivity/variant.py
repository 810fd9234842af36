"""The float network with the quantizers or the mask of one layer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparqc.ir.graph import Array, Graph, Node, TensorType, Value
from sparqc.ir.quantizers import DEQUANTIZE, DEQUANTIZERS, QUANTIZERS, ROUNDERS
from sparqc.ir.weighted import weight_of
from sparqc.rewrite.facts import Facts
from sparqc.tools.sensitivity.study import SlotName, Study, StudyLayer


@dataclass(frozen=True)
class Weights:
    """What an operator multiplies by and adds; no `bias`: the one it has."""

    node: str
    weight: Array
    bias: Array | None = None


def variant(study: Study, layer: StudyLayer, int8: bool, weights: Sequence[Weights] = ()) -> Graph:
    """A copy in which only this layer is quantized (`int8`), or has other weights, or both.

    The scales of other weights are measured on these.
    """
    graph = with_quantizers(study.placed, layer.slots if int8 else ())
    for new in weights:
        _replace(graph, new, study)
    if int8 and weights and study.calibrate is not None:
        # Scales of activations are known: no calibration data is read here.
        study.calibrate.make().run(graph, replace(study.context, facts=Facts()))
    return graph


def with_quantizers(placed: Graph, kept: Collection[SlotName]) -> Graph:
    """A copy in which only the given slots read through quantizers."""
    graph = placed.clone()
    for node in list(graph.nodes):
        if node.op in QUANTIZERS:
            continue
        for slot, operand in list(node.operands.items()):
            if (node.output.name, slot) in kept:
                continue
            for value in operand if isinstance(operand, tuple) else (operand,):
                if value is not None and value.producer and value.producer.op in DEQUANTIZERS:
                    graph.redirect(node, slot, value, source(value))
    graph.drop_dead()
    return graph


def source(carried: Value) -> Value:
    """The float value that a quantizer's result stands for."""
    node = carried.producer
    while node is not None and node.op in QUANTIZERS:
        carried = _input(node)
        node = carried.producer
    return carried


def _input(node: Node) -> Value:
    value = node.operands["x"]
    assert isinstance(value, Value)
    return value


def _replace(graph: Graph, new: Weights, study: Study) -> None:
    node = graph.value(new.node).producer
    assert node is not None
    found = weight_of(node, study.context.table)
    assert found is not None
    weight = graph.constant(new.weight, f"{source(found.weight).name}.masked")
    quantizer = _quantizer(found.weight)
    if quantizer is None:
        graph.set_operand(node, found.operand, weight)
    else:
        graph.set_operand(quantizer, "x", weight)
        _forget_scale(quantizer)
    if new.bias is not None and found.spec.bias is not None:
        graph.set_operand(node, found.spec.bias, graph.constant(new.bias, f"{new.node}.bias"))
    graph.drop_dead()


def _quantizer(weight: Value) -> Node | None:
    """The node that makes codes of a weight."""
    node = weight.producer
    if node is not None and node.op == DEQUANTIZE:
        node = _input(node).producer
    return node if node is not None and node.op in ROUNDERS else None


def _forget_scale(quantizer: Node) -> None:
    scale = quantizer.operands["scale"]
    assert isinstance(scale, Value) and scale.data is not None
    scale.data = np.full_like(scale.data, np.nan)
    scale.type = TensorType(scale.type.dtype, scale.data.shape)
