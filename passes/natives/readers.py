"""Who reads a value, and as what."""

from __future__ import annotations

from sparqc.declared.natives import native
from sparqc.ir.graph import Value
from sparqc.ir.quantizers import QUANTIZE
from sparqc.ir.vocabulary.table import default_table
from sparqc.ir.weighted import weight_spec


@native("is_multiplied")
def is_multiplied(value: Value) -> bool:
    """Whether an operator with a weight reads a value as its data or its weight, not as its bias
    alone."""
    table = default_table()
    read = [(weight_spec(node, table), node.slots_of(value)) for node in value.readers]
    return any(spec is not None and slots != (spec.bias,) for spec, slots in read)


@native("is_bias")
def is_bias(value: Value) -> bool:
    """Whether every reader of a value adds it to a product as its bias."""
    table = default_table()
    read = [(weight_spec(node, table), node.slots_of(value)) for node in value.readers]
    return bool(read) and all(spec and slots == (spec.bias,) for spec, slots in read)


@native("only_quantized")
def only_quantized(value: Value) -> bool:
    """Whether all that reads a value are QuantizeLinears."""
    return not value.is_output and all(node.op == QUANTIZE for node in value.readers)
