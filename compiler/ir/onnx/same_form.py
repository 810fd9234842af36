"""Whether a raw ONNX operator, which the table has no row for, means the same in another opset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import onnx

from sparqc.errors import SparqcError
from sparqc.ir.graph import Node, Value
from sparqc.ir.onnx.native import OnnxRaw
from sparqc.ir.onnx.types import element_type
from sparqc.ir.vocabulary.onnx_names import split_name
from sparqc.ir.vocabulary.onnx_schema import schema_of, signature_of


def require_same_form(node: Node, read_with: Mapping[str, int], opsets: Mapping[str, int]) -> None:
    """Refuse to write a raw operator in opsets in which it may mean something else.

    Args:
        node: the operator, as it was read.
        read_with: the opset of each domain that it was read with.
        opsets: those that it is to be written in.

    Raises SparqcError where its schema is another one, unless the two differ in the types that
    they allow and in nothing else, not even their documentation, and both allow those of the node.
    """
    op_type, domain = split_name(node.op)
    opset, other = read_with.get(domain, 1), opsets.get(domain, 1)
    before, after = signature_of(op_type, domain, opset), signature_of(op_type, domain, other)
    if before is None or (after is not None and after.since == before.since):
        return
    alike = after is not None and replace(after, since=before.since) == before
    if not alike or not _allows(schema_of(op_type, domain, other), node):
        raise SparqcError(
            f"{node.op} {node.output.name!r} is of opset {read_with.get(domain)} and "
            f"cannot be written in opset {opsets.get(domain)}",
            hint="ask for the opset of the model, or convert the model first",
        )


def _allows(schema: Any, node: Node) -> bool:
    """Whether a schema takes the types of a node, which has no subgraphs: these have opsets too."""
    if schema.deprecated or (isinstance(node.raw, OnnxRaw) and node.raw.subgraphs):
        return False
    operands = zip(schema.inputs, node.operands.values(), strict=False)
    pairs = [(parameter, value) for parameter, o in operands for value in _values(o)]
    pairs += zip(schema.outputs, node.outputs, strict=False)
    return all(_name(value) in parameter.types for parameter, value in pairs)


def _values(operand: Value | tuple[Value, ...] | None) -> Iterator[Value]:
    if isinstance(operand, tuple):
        yield from operand
    elif operand is not None:
        yield operand


def _name(value: Value) -> str:
    """The type as schemas write it: `tensor(float16)`."""
    number = element_type(value.type.dtype)
    return f"tensor({onnx.TensorProto.DataType.Name(number).lower()})"
