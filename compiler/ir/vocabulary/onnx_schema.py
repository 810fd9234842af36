"""Operands, attributes and defaults of ONNX operators, from the schemas in `onnx.defs`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import onnx

from sparqc.ir.graph import Attribute
from sparqc.ir.vocabulary.onnx_names import CAPTURED
from sparqc.ir.vocabulary.operator import REQUIRED, OperandSpec, Required

_Parameter = onnx.defs.OpSchema.FormalParameterOption
_AttributeType = onnx.AttributeProto.AttributeType


@dataclass(frozen=True)
class Signature:
    """What a schema says of an operator at one version of its domain."""

    doc: str
    operands: tuple[OperandSpec, ...]
    #: Defaults by name: REQUIRED where the schema asks for it, None where it may be left out.
    attributes: Mapping[str, Attribute | Required]
    #: Attributes that hold subgraphs.
    subgraphs: frozenset[str]
    outputs: tuple[str, ...]
    #: Indices of the outputs that may be left out.
    optional_outputs: frozenset[int]
    #: The version of the domain in which the operator last changed.
    since: int


@lru_cache(maxsize=1024)
def schema_of(op_type: str, domain: str, version: int) -> onnx.defs.OpSchema | None:
    """The newest schema that is in force at a version of the domain, None where there is none."""
    try:
        return onnx.defs.get_schema(op_type, version, domain)
    except onnx.defs.SchemaError:
        return None


@lru_cache(maxsize=1024)
def signature_of(op_type: str, domain: str, version: int) -> Signature | None:
    """The signature of an operator, None without a schema."""
    schema = schema_of(op_type, domain, version)
    if schema is None:
        return None
    kinds: dict[str, Any] = {k: a.type for k, a in schema.attributes.items()}
    graphs = {k for k, kind in kinds.items() if kind.name in ("GRAPH", "GRAPHS")}
    operands = [_operand(p) for p in schema.inputs]
    if graphs:
        operands.append(OperandSpec(CAPTURED, variadic=True))
    return Signature(
        doc=(schema.doc or "").strip(),
        operands=tuple(operands),
        attributes={k: _default(a) for k, a in sorted(schema.attributes.items())},
        subgraphs=frozenset(graphs),
        outputs=tuple(_output_name(p) for p in schema.outputs),
        optional_outputs=frozenset(
            i for i, p in enumerate(schema.outputs) if p.option == _Parameter.Optional
        ),
        since=schema.since_version,
    )


def _operand(parameter: Any) -> OperandSpec:
    option = parameter.option
    return OperandSpec(parameter.name, option == _Parameter.Optional, option == _Parameter.Variadic)


def _output_name(parameter: Any) -> str:
    return f"{parameter.name}*" if parameter.option == _Parameter.Variadic else parameter.name


def _default(attribute: Any) -> Attribute | Required:
    if attribute.required:
        return REQUIRED
    proto = attribute.default_value
    if proto.type == _AttributeType.UNDEFINED:
        return None
    return plain(onnx.helper.get_attribute_value(proto))


def plain(value: Any) -> Attribute:
    """An ONNX attribute as plain Python: bytes become str, lists tuples, tensors arrays.

    A FLOAT becomes the shortest double that rounds to it: 1e-05, not 9.999999747378752e-06.
    """
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float):
        return float(str(np.float32(value)))
    if isinstance(value, list | tuple) or type(value).__name__.startswith("Repeated"):
        return tuple(plain(v) for v in value)
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, str | int):
        return value
    raise TypeError(f"an attribute of type {type(value).__name__}")
