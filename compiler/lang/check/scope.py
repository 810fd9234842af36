"""What the names of a match block stand for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from sparqc.errors import Span
from sparqc.lang.ast import (
    AttributePattern,
    Bind,
    CallPattern,
    Declaration,
    MatchStatement,
    OpDecl,
    Path,
)
from sparqc.lang.walk import walk

#: The result of a matched operator, another value it reads, the tuple of the remaining operands,
#: or a number, string or list.
Kind = Literal["result", "operand", "operands", "attribute", "dimension"]
KIND_NAMES: dict[Kind, str] = {
    "result": "the result of an operator",
    "operand": "a value",
    "operands": "a list of values",
    "attribute": "an attribute",
    "dimension": "a dimension",
}
VALUES: frozenset[Kind] = frozenset({"result", "operand"})
NUMBERS: frozenset[Kind] = frozenset({"attribute", "dimension"})
IGNORED = "_"


@dataclass(frozen=True)
class Binding:
    """One place where a name is bound."""

    name: str
    kind: Kind
    span: Span | None = None


@dataclass
class Scope:
    """The names that the match block of one declaration binds."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    #: The statement that defines a result.
    statements: dict[str, MatchStatement] = field(default_factory=dict)
    #: Every place of every name, in the order of the text.
    bindings: list[Binding] = field(default_factory=list)

    def __contains__(self, name: str) -> bool:
        return name in self.kinds


def scope_of(declaration: Declaration) -> Scope:
    """The names that a declaration's match block, or an op's parameters, bind."""
    scope = Scope()
    for statement in declaration.match:
        for target in statement.targets:
            if target != IGNORED:
                scope.statements.setdefault(target, statement)
    scope.bindings = [b for b in _bindings(declaration, scope) if b.name != IGNORED]
    for binding in scope.bindings:
        scope.kinds.setdefault(binding.name, binding.kind)
    return scope


def _bindings(declaration: Declaration, scope: Scope) -> Iterator[Binding]:
    for statement in declaration.match:
        for target in statement.targets:
            yield Binding(target, "result", statement.span)
    for parameter in declaration.parameters if isinstance(declaration, OpDecl) else ():
        yield Binding(parameter.name, "operand", parameter.span)
    for call in calls_of(declaration):
        yield from _bound_by(call, scope)


def _bound_by(call: CallPattern, scope: Scope) -> Iterator[Binding]:
    for operand in call.operands:
        if isinstance(operand, Bind):
            if operand.name not in scope.statements:
                yield Binding(operand.name, "operand", operand.span)
            yield from _dimensions(operand)
    if call.rest is not None:
        yield Binding(call.rest, "operands", call.span)
    for attribute in call.attributes:
        yield from _attribute(attribute)


def _dimensions(bind: Bind) -> Iterator[Binding]:
    for dim in (bind.constraint.dims or ()) if bind.constraint else ():
        if isinstance(dim, str) and dim != "...":
            yield Binding(dim, "dimension", bind.span)


def _attribute(attribute: AttributePattern) -> Iterator[Binding]:
    if attribute.bind is not None:
        yield Binding(attribute.bind, "attribute", attribute.span)


def calls_of(declaration: Declaration) -> Iterator[CallPattern]:
    """Every call of the match block, nested ones included."""
    for statement in declaration.match:
        yield from walk(statement.call, CallPattern)


def paths_of(declaration: Declaration) -> Iterator[Path]:
    """Every path that its conditions and sentences ask for."""
    yield from walk(declaration, Path)


def reads(call: CallPattern) -> frozenset[str]:
    """The names in the operand slots of a call and of the calls in it."""
    return frozenset(b.name for b in walk(call, Bind) if b.name != IGNORED)


def roots_of(declaration: Declaration) -> list[MatchStatement]:
    """The statements whose results nothing else in the block reads."""
    read = {name for statement in declaration.match for name in reads(statement.call)}
    return [s for s in declaration.match if not read.intersection(s.targets)]
