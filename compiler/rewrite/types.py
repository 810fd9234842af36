"""A rewrite gives values of the types of those that it replaces.

The type that follows from the operands of a new operator is compared with that of the value whose
place it takes.  Where torch or onnx cannot tell it (an operator without a schema, a shape that
depends on numbers, an operand of unknown type), the new value is taken to have the old type, and
the event of the application says so: it is `untyped`.
"""

from __future__ import annotations

from sparqc.errors import PatternError, Span
from sparqc.ir.graph import Graph, Node, TensorType, Value
from sparqc.ir.inferred import Inferred
from sparqc.ir.levels.infer import inferred, may_be
from sparqc.ir.text.tokens import type_text
from sparqc.ir.vocabulary.table import OperatorTable


def require_type(
    graph: Graph,
    old: Value,
    found: TensorType,
    rule: str,
    span: Span | None,
    table: OperatorTable,
) -> None:
    """Raises PatternError where a value of the type `found` cannot take the place of another."""
    if may_be(old.type, found, graph.level):
        return
    if old.producer is not None:
        # What a model states, and what follows, may differ for the old operator too.
        judged = inferred(graph, old.producer, table).of(old.index)
        if not _is_told(judged) or may_be(judged, found, graph.level):
            return
    raise PatternError(
        f"rule {rule} gives {type_text(found)} for {type_text(old.type)} at {old.name}",
        span=span,
        hint="what takes the place of a value has its element type and its shape",
    )


def require_taken(
    node: Node, found: Inferred, root: Node, rule: str, span: Span | None, table: OperatorTable
) -> None:
    """Raises PatternError where a new operator does not take its operands; `root` is the matched
    operator, which the same library takes."""
    if not found.refusal or inferred(root.graph, root, table).refusal:
        return
    operands = ", ".join(type_text(value.type) for value in node.inputs)
    raise PatternError(
        f"rule {rule} builds a {node.op} of {operands}, which do not go together",
        span=span,
        hint=found.refusal,
    )


def _is_told(type: TensorType) -> bool:
    return type.dtype != "?" and type.shape is not None
