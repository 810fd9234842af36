"""The quantizers of the operator table, and what runs in INT8 on a graph with Q/DQ."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.vocabulary.table import OperatorTable, default_table

#: Floats to codes and back at once, floats to codes, and codes to floats.
FAKE_QUANTIZE, QUANTIZE, DEQUANTIZE = "q.qdq", "q.quantize", "q.dequantize"
QUANTIZERS = frozenset({FAKE_QUANTIZE, QUANTIZE, DEQUANTIZE})
#: What rounds floats to codes.
ROUNDERS = frozenset({FAKE_QUANTIZE, QUANTIZE})
#: What gives floats that stand for codes.
DEQUANTIZERS = frozenset({FAKE_QUANTIZE, DEQUANTIZE})
#: The two of a Q/DQ pair, which a graph with codes consists of.
CONVERSIONS = frozenset({QUANTIZE, DEQUANTIZE})


@cache
def onnx_conversions() -> Mapping[str, str]:
    """The ONNX types of a Q/DQ pair, each with its operator, as their rows spell them."""
    rows = [default_table().require(name) for name in sorted(CONVERSIONS)]
    types = {t: row.name for row in rows if row.onnx for t in row.onnx.op_types}
    return MappingProxyType(types)


def require_float(graph: Graph, name: str) -> None:
    """SparqcError where quantizers stand in the graph that the pass of that name is given."""
    for node in graph.nodes:
        if node.op in QUANTIZERS:
            raise SparqcError(
                f"the model already carries quantizers ({node.output.name} is a {node.op}); {name} "
                "needs a float model",
                hint=f"let {name} run in front of `place`; where another tool quantized the model, "
                "put `adopt` in front, which takes the ranges over",
            )


def is_dequantized(value: Value) -> bool:
    """Whether a value comes straight from a DequantizeLinear."""
    return value.producer is not None and value.producer.op == DEQUANTIZE


def runs_in_int8(node: Node) -> bool:
    """Whether an operator that multiplies reads both its factors straight from DequantizeLinears
    of INT8 codes, and not of INT16 or INT4.

    These are its first two operands: data and weight, or two computed matrices.  Nothing may stand
    in between, not a Reshape either; what a target sees through is for `sparqc.predict` to know.
    """
    factors = list(node.inputs)[:2]
    return len(factors) == 2 and all(map(_from_bytes, factors))


def _from_bytes(value: Value) -> bool:
    """Whether a value comes straight from the DequantizeLinear of codes of eight bits."""
    codes = value.producer.operands["x"] if is_dequantized(value) and value.producer else None
    return isinstance(codes, Value) and codes.type.dtype in ("i8", "u8", "?")


def reads_codes_only(node: Node, table: OperatorTable) -> bool:
    """Whether all the floats that an operator computes with come straight from DequantizeLinears.

    Constants beside its weight do not count: a bias, a bound.
    """
    row = table.get(node.op)
    weight = node.operands[row.weight.operand] if row and row.weight else None
    read = [v for v in node.inputs if v is weight or not (v.is_const or _is_integer(v))]
    return bool(read) and all(map(is_dequantized, read))


def _is_integer(value: Value) -> bool:
    return value.type.dtype.startswith(("i", "u", "bool"))
