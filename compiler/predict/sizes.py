"""How much arithmetic an operator does."""

from __future__ import annotations

from sparqc.ir.graph import Node
from sparqc.ir.vocabulary.table import OperatorTable

#: Operators without a row that multiply matrices, in a number that is not counted here.
UNCOUNTED = frozenset({"onnx.LSTM", "onnx.GRU", "onnx.RNN"})


def macs(node: Node, table: OperatorTable) -> int | None:
    """Multiply-adds of one operator: 0 for one that does not multiply matrices, None where a size
    is not known."""
    row = table.get(node.op)
    if row is not None and row.macs is not None:
        return row.macs(node)
    return None if node.op in UNCOUNTED else 0
