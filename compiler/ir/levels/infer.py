"""Types of the outputs of new nodes, at the level of their graph."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import numpy as np

from sparqc.ir.graph import Graph, Node, TensorType
from sparqc.ir.inferred import Inferred
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.raw import opsets_of
from sparqc.ir.vocabulary.table import OperatorTable


def infer_types(graph: Graph, node: Node, table: OperatorTable) -> None:
    """Set the types of a node's outputs from the types of its operands.

    A dtype, a shape or a dimension that cannot be told stays unknown.  Looks at this node alone:
    the cost does not depend on the size of the graph.
    """
    if table.has(node.op, "keeps_type"):  # no need to ask a library
        node.output.type = next(node.inputs).type
        return
    found = _asked(graph, node, table)
    for index, value in enumerate(node.outputs):
        value.type = found.of(index)


def inferred(graph: Graph, node: Node, table: OperatorTable) -> Inferred:
    """What follows from the operands of a node, which stays as it is, and whether they fit."""
    keeps_type, operands = table.has(node.op, "keeps_type"), list(node.inputs)
    if keeps_type and all(v.shape == operands[0].shape for v in operands):
        return Inferred((operands[0].type,))  # no need to ask a library
    found = _remembered(graph, node, table)
    return Inferred((operands[0].type,), found.refusal) if keeps_type else found


def _remembered(graph: Graph, node: Node, table: OperatorTable) -> Inferred:
    """What was found for an operator of the graph that is alike: blocks of a network repeat, and to
    ask a library takes milliseconds."""
    if node.raw is not None:
        return _asked(graph, node, table)
    known = _KNOWN.setdefault(graph, {})
    key = tuple(_key(node, table))
    if key not in known:
        found = _asked(graph, node, table)
        if any(str(size).startswith("?") for t in found.types for size in t.shape or ()):
            return found  # an unknown size has a name of its own
        known[key] = found
    return known[key]


_KNOWN: WeakKeyDictionary[Graph, dict[object, Inferred]] = WeakKeyDictionary()
#: Up to so many bytes the numbers of a constant count: shapes, axes and pads may be among them.
_SMALL = 1024


def _key(node: Node, table: OperatorTable) -> Iterator[object]:
    """What the types of the results may depend on."""
    yield from (node.op, len(node.outputs), id(table), str(opsets_of(node.graph)))
    for name, attribute in sorted(node.attributes.items()):
        yield name
        yield attribute.tobytes() if isinstance(attribute, np.ndarray) else repr(attribute)
    for slot, operand in node.operands.items():
        values = operand if isinstance(operand, tuple) else (operand,)
        yield from (slot, len(values))
        for value in values:
            yield None if value is None else value.type
            if value is not None and value.data is not None and value.data.nbytes <= _SMALL:
                # A number that is a parameter of the user's is written as a tensor.
                yield from (value.data.tobytes(), value.name if value.data.ndim == 0 else "")


def _asked(graph: Graph, node: Node, table: OperatorTable) -> Inferred:
    # Each half imports a large library (torch, onnx) that work on the other level does without.
    if graph.level == "fx":
        from sparqc.ir.fx import infer as fx_infer

        return fx_infer.inferred(graph, node, table)
    from sparqc.ir.onnx import infer as onnx_infer

    return onnx_infer.inferred(graph, node, table)


def may_be(type: TensorType, other: TensorType, level: Level) -> bool:
    """Whether two types may be those of one value, as far as both are known."""
    if "?" not in (type.dtype, other.dtype) and type.dtype != other.dtype:
        return False
    if type.shape is None or other.shape is None:
        return True
    if len(type.shape) != len(other.shape):
        return False
    return all(_same(a, b, level) for a, b in zip(type.shape, other.shape, strict=True))


def _same(size: int | str, other: int | str, level: Level) -> bool:
    if size == other or (isinstance(size, int) and isinstance(other, int)):
        return size == other
    if level == "onnx":  # a name says which sizes are alike, and may be one that a tool made up
        return True
    from sparqc.ir.fx.infer import same_size

    return same_size(str(size), str(other))
