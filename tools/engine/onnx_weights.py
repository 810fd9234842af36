"""The operators of an ONNX graph that have weights, and which initializer each one's is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from sparqc.ir.onnx.metadata.provenance import modules_of

#: The operators that TensorRT may run in INT8 on tensor cores, and where their weight stands.
#: MatMul has no fixed place; the second operand is asked first.
_WEIGHT_OPERANDS = {"Conv": (1,), "ConvTranspose": (1,), "Gemm": (1, 0), "MatMul": (1, 0)}

#: What may stand between an initializer and the operator that it is the weight of.
_TRANSPARENT = {
    "QuantizeLinear",
    "DequantizeLinear",
    "Cast",
    "Identity",
    "Transpose",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
}


@dataclass(frozen=True)
class WeightedNode:
    """An ONNX node with a constant weight; `weight` names the initializer or Constant output, and
    `module` is where the file says that the node comes from."""

    node: str
    op_type: str
    weight: str
    module: str = ""


def weighted_nodes(model: onnx.ModelProto) -> tuple[WeightedNode, ...]:
    """The Conv, ConvTranspose, Gemm and MatMul nodes with a constant weight, in graph order.

    The model is one that `read_source` has let through.  It is looked at as the compiler sees it,
    node by node, since only the names of its own nodes stand in a listing; what a compiler takes
    beyond the operator table must not end here.
    """
    constants = {i.name for i in model.graph.initializer}
    producers = {out: n for n in model.graph.node for out in n.output if out}
    modules = modules_of(model)
    found = []
    for node in model.graph.node:
        for operand in _WEIGHT_OPERANDS.get(node.op_type, ()):
            weight = _constant(_operand(node, operand), constants, producers)
            if weight:
                found.append(
                    WeightedNode(node.name, node.op_type, weight, modules.get(node.name, ""))
                )
                break
    return tuple(found)


def constant_values(model: onnx.ModelProto) -> set[str]:
    """The values that nodes read and that constants alone give, through quantizers and through what
    gives numbers another type or shape."""
    constants = {i.name for i in model.graph.initializer}
    producers = {out: n for n in model.graph.node for out in n.output if out}
    read = {value for node in model.graph.node for value in node.input if value}
    return {value for value in read if _constant(value, constants, producers)}


def _operand(node: onnx.NodeProto, index: int) -> str:
    """The name of an operand, "" where the node has too few."""
    return node.input[index] if index < len(node.input) else ""


def _constant(value: str, constants: set[str], producers: Mapping[str, onnx.NodeProto]) -> str:
    """The constant that a value is made of, or "" where it depends on an input."""
    while value not in constants:
        producer = producers.get(value)
        if producer is None:
            return ""
        if producer.op_type == "Constant":
            return value
        if producer.op_type not in _TRANSPARENT:
            return ""
        value = _operand(producer, 0)
    return value
