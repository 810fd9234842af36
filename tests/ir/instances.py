"""Random instances of operators as graphs of one node, for the tests of the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from sparqc.ir.graph import Array, Graph, Node, TensorType, Value, dtype_name
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.levels.infer import infer_types
from sparqc.ir.onnx.native import OnnxNative
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.operator import REQUIRED, Operator, Sample
from sparqc.ir.vocabulary.table import OperatorTable


def graph_of(
    row: Operator, sample: Sample, level: Level, table: OperatorTable, opset: int = 18
) -> tuple[Graph, list[Array]]:
    """A graph of one node, with its types inferred, and the arrays for its inputs.

    It is of a newer opset where ONNX has the operator only since then.
    """
    native = OnnxNative({"": max(opset, _since(row))}) if level == "onnx" else None
    graph, feeds = Graph(level, native=native), []

    def value(slot: str, array: Any) -> Any:
        if array is None or isinstance(array, list):
            return array and [value(slot, item) for item in array]
        if slot in sample.constants:
            return graph.constant(array, slot)
        feeds.append(array)
        return graph.add_input(slot, TensorType(dtype_name(array.dtype), array.shape))

    operands = {o.name: value(o.name, sample.operands[o.name]) for o in row.operands}
    missing = [k for k, v in row.attributes.items() if v is REQUIRED and k not in sample.attributes]
    assert not missing, f"the sample of {row.name} lacks {missing}"
    attributes = {**row.attributes, **sample.attributes}
    count = _count(row, sample)
    node = graph.create(row.name, operands, attributes, types=[TensorType()] * count)  # type: ignore[arg-type]
    infer_types(graph, node, table)
    graph.set_outputs(node.outputs, [f"y{i}" for i in range(count)])
    return graph, feeds


def _since(row: Operator) -> int:
    """The first opset that has one of the types that the row is read from."""
    types = row.onnx.op_types if row.onnx is not None and not row.onnx.domain else ()
    schemas = (s for s in onnx.defs.get_all_schemas_with_history() if not s.domain)
    return min((s.since_version for s in schemas if s.name in types), default=1)


def _count(row: Operator, sample: Sample) -> int:
    """How many outputs an instance has."""
    if row.outputs != ("y*",):
        return len(row.outputs)
    if "xs" in sample.operands:
        return len(sample.operands["xs"])  # type: ignore[arg-type]
    if "sizes" in sample.attributes:
        return len(sample.attributes["sizes"])  # type: ignore[arg-type]
    return np.shape(sample.operands["x"])[int(sample.attributes["axis"])]  # type: ignore[arg-type]


def run(graph: Graph, feeds: list[Array], table: OperatorTable) -> list[Array]:
    """The outputs of a graph."""
    return open_runner(graph, table).run(feeds)[0]


def only_node(graph: Graph) -> Node:
    """The node that defines the graph's outputs."""
    producer = graph.outputs[0].producer
    assert producer is not None
    return producer


def content(node: Node) -> tuple[object, ...]:
    """What two nodes share that mean the same: operator, operands, attributes, types."""

    def of(operand: Value | tuple[Value, ...] | None) -> object:
        if operand is None:
            return None
        if isinstance(operand, tuple):
            return tuple(of(v) for v in operand)
        if operand.data is not None:
            return (operand.data.dtype, operand.data.shape, operand.data.tobytes())
        return operand.type

    operands = {slot: of(operand) for slot, operand in node.operands.items()}
    attributes = {k: _rounded(v) for k, v in node.attributes.items()}
    return node.op, operands, attributes, [v.type for v in node.outputs]


def _rounded(attribute: Any) -> Any:
    """ONNX stores f32: 1e-5 comes back as 9.999999747378752e-06."""
    if isinstance(attribute, tuple | list):
        return tuple(_rounded(item) for item in attribute)
    return float(np.float32(attribute)) if isinstance(attribute, float) else attribute
