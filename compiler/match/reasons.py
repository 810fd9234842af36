"""Why a pattern is not met, in words: `conv_1 comes from nn.conv, not from nn.batch_norm`."""

from __future__ import annotations

from collections.abc import Sequence

from sparqc.ir.graph import Attribute, Node, Value
from sparqc.lang.ast import AttributePattern
from sparqc.match.search_plan import CallGoal
from sparqc.match.terms import Term, show


def head(goal: CallGoal) -> str:
    """The operators that a call names: "nn.relu" or "nn.relu or nn.clip"."""
    return " or ".join(goal.call.heads)


def plain(text: str) -> str:
    """A reason that already is in words."""
    return text


def absent(what: str) -> str:
    """An operand that the pattern asks for."""
    return f"the operand {what} is absent"


def not_from(value: Value, wanted: str) -> str:
    """A value of the wrong origin."""
    return f"{value.name} {_origin(value)}, not from {wanted}"


def _origin(value: Value) -> str:
    if value.producer is not None:
        return f"comes from {value.producer.op}"
    return "is a constant" if value.is_const else "is an input of the graph"


def not_number(value: Value | None, number: float) -> str:
    """An operand that is not the literal of the pattern."""
    name = "the operand" if value is None else value.name
    return f"{name} is not the constant {show(number)}"


def outputs(node: Node, wanted: int) -> str:
    """An operator with another number of outputs."""
    return f"{node.output.name} = {node.op} has {len(node.outputs)} outputs, not {wanted}"


def unnamed_operand(value: Value, extra: Value | None) -> str:
    """An operand that the pattern leaves no room for."""
    return f"{value.name} has a further operand, {show(extra)}, that the pattern does not name"


def two_terms(name: str, known: Term, other: Term) -> str:
    """A name that would have to stand for two things."""
    one, two = sorted((show(known), show(other)))
    return f"{name} would be both {one} and {two}"


def not_constant(value: Value, name: str) -> str:
    """A value that had to be constant."""
    return f"{value.name} ({name}) is not constant"


def wrong_dtype(value: Value, wanted: Sequence[str]) -> str:
    """A value of another element type."""
    return f"{value.name} is {value.type.dtype}, not {' or '.join(wanted)}"


def wrong_shape(value: Value, wanted: tuple[int | str, ...] | None) -> str:
    """A value of another shape."""
    found = "an unknown shape" if value.shape is None else f"the shape {show(value.shape)}"
    return f"{value.name} has {found}, not {show(wanted)}"


def wrong_attribute(nodes: Sequence[Node], pattern: AttributePattern, found: Attribute) -> str:
    """An attribute that is missing or has another value."""
    where = f"{nodes[0].output.name} = {nodes[0].op}" if nodes else "it"
    if not any(pattern.name in node.attributes for node in nodes):
        return f"{where} has no attribute {pattern.name!r}"
    return f"{where} has {pattern.name}={show(found)}, not {show(pattern.literal)}"


def read_outside(value: Value, inside: Sequence[Node]) -> str:
    """A value inside a match that the rewrite would take away from somebody else."""
    readers = set(value.readers).difference(inside)
    if not readers:
        return f"{value.name} is read outside of the match: it is an output of the graph"
    reader = min(node.output.name for node in readers)
    return f"{value.name} is read outside of the match, by {reader}"
