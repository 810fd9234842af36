"""Rows for operators outside the table, made from the schemas that torch and onnx carry.

A raw operator is named `aten.mul.Tensor` (any torch library), `onnx.Einsum` or
`onnx.com.microsoft.Gelu`.  Its tensors are operands under the names of the schema, everything
else is an attribute; an ONNX operator without a schema has operands `i0`, `i1`, ….
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sparqc.ir.graph import Attribute, Graph, Node
from sparqc.ir.vocabulary.onnx_names import DEFAULT_OPSET, split_name
from sparqc.ir.vocabulary.operator import REQUIRED, OperandSpec, Operator, Required
from sparqc.ir.vocabulary.traits import Trait

if TYPE_CHECKING:
    from sparqc.ir.vocabulary.table import OperatorTable


#: ONNX operators that draw random numbers; of torch's a tag says so.
_DRAWING = ("Random", "Bernoulli", "Multinomial")
_RANDOM: tuple[Trait, ...] = ("random",)


def opsets_of(graph: Graph) -> Mapping[str, int]:
    """The versions of the ONNX operator sets by domain ("" is ONNX's own); empty on FX."""
    if graph.level == "fx":
        return {}
    opsets: Mapping[str, int] | None = getattr(graph.native, "opsets", None)
    return opsets or {"": DEFAULT_OPSET}


def operator_of(node: Node, table: OperatorTable) -> Operator | None:
    """The row of a node's operator: the table's, or one made from the raw schema."""
    return table.get(node.op) or raw_operator(node.op, opsets_of(node.graph))


def raw_operator(name: str, opsets: Mapping[str, int]) -> Operator | None:
    """The row of a raw operator, None where no schema is known; `opsets` picks ONNX versions."""
    if name.startswith("onnx."):
        return _onnx_operator(name, opsets)
    return _torch_operator(name)


def _onnx_operator(name: str, opsets: Mapping[str, int]) -> Operator | None:
    from sparqc.ir.vocabulary.onnx_schema import signature_of

    op_type, domain = split_name(name)
    signature = signature_of(op_type, domain, opsets.get(domain, 1))
    if signature is None:
        return None
    return Operator(
        name, signature.doc, signature.operands, signature.attributes, signature.outputs,
        traits=_RANDOM if op_type.startswith(_DRAWING) else (),
    )  # fmt: skip


def _torch_operator(name: str) -> Operator | None:
    import torch

    overload: Any = torch.ops
    for part in name.split("."):
        overload = getattr(overload, part, None)
    schema = getattr(overload, "_schema", None)
    if schema is None:
        return None
    tensors = [a for a in schema.arguments if "Tensor" in str(a.type)]
    others = [a for a in schema.arguments if "Tensor" not in str(a.type)]
    return Operator(
        name,
        str(schema),
        tuple(OperandSpec(a.name, optional="Optional" in str(a.type)) for a in tensors),
        {a.name: _default(a) for a in others},
        traits=_RANDOM if torch.Tag.nondeterministic_seeded in overload.tags else (),
    )


def _default(argument: Any) -> Attribute | Required:
    if not argument.has_default_value():
        return REQUIRED
    value = argument.default_value
    return tuple(value) if isinstance(value, list) else value
