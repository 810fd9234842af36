"""Values that are one constant over and over."""

from __future__ import annotations

from sparqc.declared.natives import native
from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Value
from sparqc.ir.quantizers import QUANTIZERS
from sparqc.ir.vocabulary.table import default_table

#: What repeats its first operand, as codes or not; other movers of data may choose from it.
_REPEATS = {"nn.expand", "nn.expand_as", "nn.expand_to", "nn.tile", "nn.tile_by", *QUANTIZERS}


@native("is_repeated_constant")
def is_repeated_constant(value: Value) -> bool:
    """Whether a value is a constant, or one that an Expand repeats for every sample of a batch,
    as a class token and learned queries are, quantized or not: a target computes what reads it
    beforehand."""
    table = default_table()
    while not is_constant(value, table):
        node = value.producer
        if node is None or not (node.op in _REPEATS or table.has(node.op, "view")):
            return False
        value = next(node.inputs)
    return True
