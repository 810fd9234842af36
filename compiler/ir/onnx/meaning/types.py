"""Operands of a type that an operator does not take, such as INT64 weights of a Conv."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

import onnx

from sparqc.ir.graph import TensorType
from sparqc.ir.onnx.types import dtype_of_element
from sparqc.ir.vocabulary.onnx_schema import schema_of

#: Their types have checks of their own, as parsers take more of them than the schema does.
_OWN_CHECKS = frozenset({"QuantizeLinear", "DequantizeLinear"})
#: Where a schema's name of an element type is another than ONNX's own.
_NAMES = {"float": "FLOAT", "double": "DOUBLE"}


def type_faults(
    node: onnx.NodeProto, types: Mapping[str, TensorType], opsets: Mapping[str, int]
) -> Iterator[str]:
    """A sentence for each operand whose type the operator's schema does not allow."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    if node.op_type in _OWN_CHECKS:
        return
    allowed = _allowed(node.op_type, domain, opsets.get(domain, 1))
    for index, name in enumerate(node.input if allowed else ()):
        operand, dtypes = allowed[min(index, len(allowed) - 1)]
        dtype = types.get(name, TensorType()).dtype
        if dtype not in ("?", "list") and dtypes and dtype not in dtypes:
            yield f"its operand {operand}, {name!r}, is {dtype}, which it does not take"


@lru_cache(maxsize=1024)
def _allowed(op_type: str, domain: str, version: int) -> tuple[tuple[str, frozenset[str]], ...]:
    """The name and the dtypes of each operand; no dtypes where it may be no tensor."""
    schema = schema_of(op_type, domain, version)
    if schema is None:
        return ()
    return tuple((p.name, _dtypes(p.types)) for p in schema.inputs)


def _dtypes(types: set[str]) -> frozenset[str]:
    if not all(t.startswith("tensor(") for t in types):
        return frozenset()
    names = (t.removeprefix("tensor(").removesuffix(")") for t in types)
    numbers = (onnx.TensorProto.DataType.Value(_NAMES.get(n, n.upper())) for n in names)
    return frozenset(dtype_of_element(number) for number in numbers)
