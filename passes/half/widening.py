"""FP16 values as FP32 ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx

from sparqc.ir.graph import Attribute, Graph, Node, TensorType, Value
from sparqc.ir.quantizers import CONVERSIONS
from sparqc.ir.vocabulary.onnx_names import CAPTURED, split_name
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.passes.half.casts import drop_casts
from sparqc.passes.half.types import FULL, HALF
from sparqc.passes.half.widened import Widened

#: Attributes by which an ONNX operator names the type of what it gives, as a number.
_TYPES = ("to", "dtype")


def widen(graph: Graph, table: OperatorTable) -> Widened:
    """Change the FP16 values of an ONNX graph to FP32; inputs and outputs keep their types, and so
    does what operators read and give that may take no other."""
    fixed = {n for n in graph.nodes if _is_fixed(n)}
    nodes = [n for n in graph.nodes if n.op not in CONVERSIONS and n not in fixed]
    half = [n for n in nodes if _gives(n, HALF)]
    computes = any(not _hands_on(n, table) for n in half)
    found = Widened(_names(half), _names(n for n in nodes if computes and _gives(n, FULL)))
    outer = [v for v in graph.inputs if v.type.dtype == HALF]
    outer += [v for n in fixed for v in n.outputs if v.type.dtype == HALF]
    inner = [v for v in graph.values if v.type.dtype == HALF and v not in outer]
    for node in half:
        node.attributes = {k: _widened(node, k, a) for k, a in node.attributes.items()}
    for value in inner:
        value.type = TensorType(FULL, value.shape)
        if value.data is not None:
            value.data = value.data.astype(np.float32)
    for value in outer:
        _cast_for(graph, value, FULL, [n for n in value.readers if n not in fixed])
    for value in inner:
        _cast_for(graph, value, HALF, [n for n in value.readers if n in fixed], outputs=True)
    drop_casts(graph)
    return found


def _is_fixed(node: Node) -> bool:
    """Whether an operator takes the types that it has: one outside ONNX, and one whose subgraphs
    read what is around them."""
    return CAPTURED in node.operands or (
        node.op.startswith("onnx.") and split_name(node.op)[1] != ""
    )


def _hands_on(node: Node, table: OperatorTable) -> bool:
    """Whether an operator computes nothing."""
    return node.op in ("nn.cast", "nn.identity") or table.has(node.op, "moves")


def _gives(node: Node, dtype: str) -> bool:
    return any(v.type.dtype == dtype for v in node.outputs)


def _names(nodes: Iterable[Node]) -> frozenset[str]:
    return frozenset(n.output.name for n in nodes)


def _widened(node: Node, key: str, attribute: Attribute) -> Attribute:
    """An attribute that names FP16, or is an array of it, in FP32."""
    if isinstance(attribute, np.ndarray) and attribute.dtype == np.float16:
        return attribute.astype(np.float32)
    if attribute == HALF:
        return FULL
    named = node.op.startswith("onnx.") and key in _TYPES
    return onnx.TensorProto.FLOAT if named and attribute == onnx.TensorProto.FLOAT16 else attribute


def _cast_for(
    graph: Graph, value: Value, dtype: str, readers: Sequence[Node], *, outputs: bool = False
) -> None:
    """Let readers, and graph outputs, take a value in another type."""
    outputs = outputs and value.is_output
    if not readers and not outputs:
        return
    if value.data is not None:
        new = graph.constant(value.data.astype(np.float16), value.name)
    else:
        first = next((n for n in graph.nodes if n in readers), None)
        new = graph.create(
            "nn.cast", {"x": value}, {"to": dtype}, types=[TensorType(dtype, value.shape)],
            names=[f"{value.name}.{dtype}"], before=first,
            origin=value.producer.origin if value.producer else None,
        ).output  # fmt: skip
    for node in readers:
        for slot in node.slots_of(value):
            graph.redirect(node, slot, value, new)
    if outputs:
        graph.set_outputs([new if v is value else v for v in graph.outputs], graph.output_names)
