"""How much arithmetic an operator does."""

from __future__ import annotations

from sparqc.ir.graph import Node
from sparqc.ir.vocabulary.onnx_names import split_name
from sparqc.ir.vocabulary.table import OperatorTable

#: Operators without a row that multiply matrices, in a number that is not counted here.
UNCOUNTED = frozenset({"onnx.LSTM", "onnx.GRU", "onnx.RNN"})


def macs(node: Node, table: OperatorTable) -> int | None:
    """Multiply-adds of one operator: 0 for one that does not multiply matrices, None where a size
    is not known."""
    row = table.get(node.op)
    if row is not None and row.macs is not None:
        return row.macs(node)
    return None if node.op in UNCOUNTED or _is_unread(node, table) else 0


def _is_unread(node: Node, table: OperatorTable) -> bool:
    """Whether it is one that multiplies, in a form that its row does not read."""
    if table.get(node.op) is not None:
        return False
    rows = table.for_onnx(*split_name(node.op)) if node.op.startswith("onnx.") else ()
    return any(row.macs is not None for row in rows)
