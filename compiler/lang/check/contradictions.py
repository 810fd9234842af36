"""Conditions that never hold together: no graph meets all of them.

Each condition is taken for what it says of one term, such as `x.rank` or `w.C % 4`, beside a
literal; two such facts of one term are compared.  What several terms say together is not asked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sparqc.errors import Span
from sparqc.lang.ast import (
    Binary,
    Bind,
    CallPattern,
    Declaration,
    Expr,
    Field,
    FusionDecl,
    Index,
    ListExpr,
    Literal,
    Name,
    Unary,
)
from sparqc.lang.check.findings import Findings, PatternWarning
from sparqc.lang.format.printer import format_expr
from sparqc.lang.walk import walk

#: A literal, or a list of them.
Plain = None | bool | int | float | str | tuple["Plain", ...]

_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NEGATED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "==",
            "in": "not in", "holds": "fails"}  # fmt: skip
_NEGATED |= {after: before for before, after in _NEGATED.items()}


@dataclass(frozen=True)
class Fact:
    """What must be so of a term: it is `<` a number, `in` a tuple, or it just `holds`."""

    term: str
    relation: str
    value: Plain
    text: str  # as a person would write it
    span: Span | None
    #: Whether the match block says so.
    matched: bool = False

    @property
    def candidates(self) -> tuple[Plain, ...] | None:
        """All that the term may be; None where these are too many to write down."""
        if self.relation == "==":
            return (self.value,)
        return self.value if self.relation == "in" and isinstance(self.value, tuple) else None

    def allows(self, value: Plain) -> bool:
        """Whether the term may have a value, as conditions are evaluated."""
        if self.relation in ("holds", "fails"):
            return bool(value) == (self.relation == "holds")
        if self.relation in ("==", "!="):
            return _equal(value, self.value) == (self.relation == "==")
        if self.relation in ("in", "not in"):
            among = isinstance(self.value, tuple) and any(_equal(value, v) for v in self.value)
            return among == (self.relation == "in")
        both = isinstance(value, int | float) and isinstance(self.value, int | float)
        return both and _ORDER[self.relation](value, self.value)  # type: ignore[arg-type]

    def excludes(self, other: Fact) -> bool:
        """Whether no value of the term agrees with both."""
        for one, two in ((self, other), (other, self)):
            if one.candidates is not None:
                return not any(two.allows(value) for value in one.candidates)
        if {self.relation, other.relation} == {"holds", "fails"}:
            return True
        ordered = self.relation in _ORDER and other.relation in _ORDER
        if not ordered or self.relation[0] == other.relation[0]:
            return False
        return not (self.allows(other.value) and other.allows(self.value))


def check_contradictions(declaration: Declaration) -> Findings:
    """A warning for each condition that never holds, as another one says something else."""
    given = [*_of_match(declaration), *_facts(c.expr for c in declaration.where)]
    yield from _disagreements((c.expr for c in declaration.where), _of_match(declaration))
    if isinstance(declaration, FusionDecl):
        for block in (declaration.int8_where, declaration.sparse_where, declaration.pays):
            yield from _disagreements((c.expr for c in block), given)


def _disagreements(conditions: Iterable[Expr], given: Iterable[Fact]) -> Findings:
    """Facts of conditions that must hold together with what is given, and in each `or` of them."""
    known, parts = list(given), [c for expr in conditions for c in conjuncts(expr)]
    for fact in _facts(parts):
        against = next((k for k in known if k.term == fact.term and fact.excludes(k)), None)
        if against is not None:
            yield _warning(fact, against)
        known.append(fact)
    for branch in (b for expr in parts for b in _branches(expr)):
        yield from _disagreements([branch], known)


def _warning(fact: Fact, against: Fact) -> PatternWarning:
    same_line = fact.span and against.span and fact.span.line == against.span.line
    place = f" of line {against.span.line}" if against.span and not same_line else ""
    message = f"`{fact.text}` never holds together with `{against.text}`{place}"
    if against.matched:
        hint = "ask for the same here and in the match, or leave it out here"
    elif fact.relation == against.relation == "==":
        values = ListExpr((_literal(against.value), _literal(fact.value)))
        hint = f"write {fact.term} in {format_expr(values)} if either will do, else leave one out"
    else:
        hint = f"write {against.text} or {fact.text} if either will do, else leave one out"
    return PatternWarning(message, span=fact.span, hint=hint)


# -- what conditions say -------------------------------------------------------------------------


def conjuncts(expr: Expr) -> Iterator[Expr]:
    """The conditions that all hold where one does."""
    if isinstance(expr, Binary) and expr.op == "and":
        yield from conjuncts(expr.left)
        yield from conjuncts(expr.right)
    else:
        yield expr


def _branches(expr: Expr) -> Iterator[Expr]:
    """The sides of an `or`."""
    if isinstance(expr, Binary) and expr.op == "or":
        yield from (expr.left, expr.right)


def _facts(conditions: Iterable[Expr]) -> Iterator[Fact]:
    for condition in conditions:
        for expr in conjuncts(condition):
            fact = _fact(expr)
            if fact is not None:
                yield fact


def _fact(expr: Expr) -> Fact | None:
    """What one condition says of a term; None where it names two, or none."""
    text, negated = format_expr(expr), False
    inner = expr
    while isinstance(inner, Unary) and inner.op == "not":
        inner, negated = inner.operand, not negated
    found = _relation(inner)
    if found is None:
        return None
    term, relation, value = found
    relation = _NEGATED[relation] if negated else relation
    return Fact(term, relation, value, text, expr.span)


def _relation(expr: Expr) -> tuple[str, str, Plain] | None:
    if not isinstance(expr, Binary):
        named = any(True for _ in walk(expr, Name))
        return (format_expr(expr), "holds", None) if named else None
    if expr.op not in _NEGATED:
        return None
    for term, other, op in (
        (expr.left, expr.right, expr.op),
        (expr.right, expr.left, _FLIPPED.get(expr.op, expr.op)),
    ):
        value = _plain(other)
        if value is not _UNKNOWN and any(True for _ in walk(term, Name)):
            if expr.op == "in" and other is not expr.right:
                return None  # `4 in x.shape` speaks of an entry
            return format_expr(term), op, value  # type: ignore[return-value]
    return None


_UNKNOWN = object()


def _plain(expr: Expr) -> object:
    """What a literal stands for; `_UNKNOWN` of anything else."""
    if isinstance(expr, Literal):
        return expr.value
    if not isinstance(expr, ListExpr):
        return _UNKNOWN
    items = tuple(_plain(item) for item in expr.items)
    return _UNKNOWN if _UNKNOWN in items else items


def _literal(value: Plain) -> Expr:
    return ListExpr(tuple(map(_literal, value))) if isinstance(value, tuple) else Literal(value)


def _equal(a: Plain, b: Plain) -> bool:
    """As `==` of a condition: 1 is 1.0, and 1e-5 the number in single precision next to it."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    numbers = (int, float)
    if isinstance(a, numbers) and isinstance(b, numbers) and isinstance(a + b, float):
        return a == b or bool(np.float32(a) == np.float32(b))
    return type(a) is type(b) and a == b if isinstance(a, str) else a == b


# -- what the match says -------------------------------------------------------------------------


def _of_match(declaration: Declaration) -> Sequence[Fact]:
    """The types and shapes that a match block asks for; what may be absent has neither."""
    binds = (b for s in declaration.match for b in _binds(s.call))
    return [fact for bind in binds for fact in _of_bind(bind)]


def _binds(call: CallPattern) -> Iterator[Bind]:
    """The operands that are there wherever the call matches."""
    for operand in () if call.maybe else call.operands:
        if isinstance(operand, CallPattern):
            yield from _binds(operand)
        elif isinstance(operand, Bind) and not operand.optional and operand.name != "_":
            yield operand


def _of_bind(bind: Bind) -> Iterator[Fact]:
    name, constraint = Name(bind.name), bind.constraint
    if constraint is not None and constraint.dtypes:
        yield _said(bind, Field(name, "dtype"), "in", constraint.dtypes)
    dims = constraint.dims if constraint is not None else None
    if dims is not None:
        least = len(dims) - ("..." in dims)
        yield _said(bind, Field(name, "rank"), ">=" if "..." in dims else "==", least)
        for at, dim in enumerate(dims if "..." not in dims else ()):
            if isinstance(dim, int):
                yield _said(bind, Index(Field(name, "shape"), Literal(at)), "==", dim)


def _said(bind: Bind, term: Expr, relation: str, value: Plain) -> Fact:
    text = format_expr(Binary(relation, term, _literal(value)))
    return Fact(format_expr(term), relation, value, text, bind.span, matched=True)
