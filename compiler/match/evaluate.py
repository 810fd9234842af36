"""Expressions over a match: conditions, the arguments of natives, sentences with values in them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sparqc.errors import PatternError, Span, SparqcError, did_you_mean
from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Graph, Value
from sparqc.ir.layer_names import value_name
from sparqc.lang.ast import (
    Binary,
    Condition,
    Expr,
    Field,
    Index,
    ListExpr,
    Literal,
    Name,
    NativeCall,
    Path,
    Template,
    Unary,
)
from sparqc.lang.format.printer import format_expr
from sparqc.lang.parse.keywords import KNOB
from sparqc.match.call import NativeFailure, call_native
from sparqc.match.depths import depth_of
from sparqc.match.terms import Symbol, Term, Undetermined, Unknown, dimensions, equal, show, size_of
from sparqc.match.weight_sizes import WEIGHT_SIZES, weight_sizes

#: The property of a value that free dimensions may be given for.
SIZE = "size"

if TYPE_CHECKING:
    from sparqc.declared.natives import Native
    from sparqc.ir.vocabulary.table import OperatorTable
    from sparqc.match.result import Match


class Environment(Protocol):
    """What expressions may look up beside the match; a Matcher is one."""

    @property
    def table(self) -> OperatorTable:
        """The operators."""

    @property
    def natives(self) -> Mapping[str, Native]:
        """The functions that `@name(...)` calls."""

    @property
    def knobs(self) -> Mapping[str, str | float]:
        """What `knob.name` is set to."""

    def leads(self, value: Value, graph: Graph, path: Path) -> bool:
        """Whether a path leads from a value of a graph."""


def evaluate(
    expr: Expr, match: Match, environment: Environment, names: Mapping[str, Any] | None = None
) -> Term:
    """The value of an expression; `names` are looked up before those of the match.

    Raises Undetermined where it depends on something unknown, PatternError where it makes no sense
    (a sum of a tensor and a number), and SparqcError where a native fails.
    """
    return _Evaluation(match, environment, names or {}).of(expr)


def failing(
    conditions: Iterable[Condition],
    match: Match,
    environment: Environment,
    names: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
    *,
    unknown_holds: bool = False,
) -> tuple[Condition, str] | None:
    """The first condition that does not hold, and why; None where all hold.

    `names` are looked up before those of the match; `sizes` are what free dimensions count as where
    a condition asks for the size of a value.

    A condition that depends on something unknown does not hold, except with `unknown_holds`, nor
    does one whose native raises SparqcError: the reason then says so.
    """
    evaluation = _Evaluation(match, environment, names or {}, sizes or {})
    for condition in conditions:
        try:
            if evaluation.truth(condition.expr):
                continue
            cause = ""
        except Undetermined as unknown:
            if unknown_holds:
                continue
            cause = unknown.reason
        except (PatternError, NativeFailure):
            raise
        except SparqcError as error:
            cause = error.message
        return condition, _reason(condition, cause, evaluation)
    return None


def render(template: Template, match: Match, environment: Environment) -> str:
    """The sentence with its expressions filled in; "?" stands for what is unknown."""
    return _Evaluation(match, environment, {}).render(template)


def _reason(condition: Condition, cause: str, evaluation: _Evaluation) -> str:
    if condition.reason is None:
        text = condition.span.text.strip() if condition.span else ""
        return cause or (f"not met: {text}" if text else "a condition does not hold")
    sentence = evaluation.render(condition.reason)
    return f"{sentence} ({cause})" if cause else sentence


class _Evaluation:
    """Evaluates expressions over one match."""

    def __init__(
        self,
        match: Match,
        environment: Environment,
        names: Mapping[str, Any],
        sizes: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.match, self.environment, self.names, self.sizes = match, environment, names, sizes
        #: Of a weight, which conditions ask for several times.
        self._weight_sizes: dict[Value, Mapping[str, Term] | None] = {}

    def render(self, template: Template) -> str:
        if not template.parts:
            return template.text
        return "".join(p if isinstance(p, str) else self._shown(p) for p in template.parts)

    def _shown(self, expr: Expr) -> str:
        try:
            if isinstance(expr, Field) and expr.name == "name":
                owner = self.of(expr.of)
                if isinstance(owner, Value):
                    return value_name(owner)
            return show(self.of(expr))
        except Undetermined:
            return "?"

    def of(self, expr: Expr) -> Term:
        return _EVALUATE[type(expr)](self, expr)

    def truth(self, expr: Expr) -> bool:
        """Whether an expression holds: a value does that is present, a list that is not empty."""
        term = self.of(expr)
        if isinstance(term, (Unknown, Symbol)):
            raise _undecided(term)
        if isinstance(term, np.ndarray) and term.size != 1:
            raise self.error("an array is neither true nor false", expr.span)
        return term is not None if isinstance(term, Value) else bool(term)

    def error(self, message: str, span: Span | None, hint: str = "") -> PatternError:
        decl = self.match.decl
        return PatternError(f"{decl.name}: {message}", span=span or decl.span, hint=hint)

    # -- one method for each kind of expression --------------------------------------------------

    def name(self, expr: Name) -> Term:
        if expr.id in self.names:
            return self.names[expr.id]  # type: ignore[no-any-return]
        if expr.id in self.match.bindings:
            return self.match.bindings[expr.id]
        known = [*self.names, *self.match.bindings]
        raise self.error(f"unknown name {expr.id!r}", expr.span, did_you_mean(expr.id, known))

    def literal(self, expr: Literal) -> Term:
        return expr.value

    def list(self, expr: ListExpr) -> Term:
        return tuple(self.of(item) for item in expr.items)

    def field(self, expr: Field) -> Term:
        if isinstance(expr.of, Name) and expr.of.id == KNOB:
            return self.knob(expr)
        owner = self.of(expr.of)
        if owner is None or isinstance(owner, Unknown):
            return owner
        if not isinstance(owner, Value):
            raise self.error(f"{show(owner)} is no value that has a {expr.name!r}", expr.span)
        if expr.name == SIZE:
            return size_of(owner, self.sizes)
        if expr.name in _PROPERTIES:
            return _PROPERTIES[expr.name](owner, self.environment)
        if expr.name in WEIGHT_SIZES:
            if owner not in self._weight_sizes:
                found = weight_sizes(owner, self.match.nodes, self.environment.table)
                self._weight_sizes[owner] = found
            sizes = self._weight_sizes[owner]
            if sizes is not None:
                return sizes[expr.name]
        return self.attribute(owner, expr.name)

    def knob(self, expr: Field) -> Term:
        if expr.name not in self.environment.knobs:
            hint = did_you_mean(expr.name, self.environment.knobs)
            raise self.error(f"there is no knob {expr.name!r}", expr.span, hint)
        return self.environment.knobs[expr.name]

    def attribute(self, value: Value, name: str) -> Term:
        """An attribute of the operator that defines a value; of a spelling, of any of them."""
        for node in self.match.operators_of(value):
            if name in node.attributes:
                return node.attributes[name]
        return None

    def index(self, expr: Index) -> Term:
        owner, position = self.of(expr.of), self.of(expr.index)
        if owner is None or isinstance(owner, Unknown):
            return owner
        if not isinstance(owner, tuple):
            raise self.error(f"{show(owner)} is no list", expr.span)
        where = self.number(position, expr.index)
        if not isinstance(where, int):
            raise self.error(f"{show(position)} is no position in a list", expr.span)
        if not -len(owner) <= where < len(owner):
            raise Undetermined(f"{show(owner)} has no entry {where}")
        return owner[where]

    def native(self, expr: NativeCall) -> Any:
        native = self.environment.natives.get(expr.name)
        if native is None:
            hint = did_you_mean(expr.name, self.environment.natives)
            raise self.error(f"unknown function @{expr.name}", expr.span, hint)
        arguments = [self.of(argument) for argument in expr.arguments]
        where = expr.span or self.match.decl.span
        table, rule = self.environment.table, self.match.decl.name
        return call_native(native, expr, arguments, table, rule, where)

    def path(self, expr: Path) -> bool:
        value = self.of(expr.of)
        if isinstance(value, Unknown):
            raise _undecided(value)
        if value is not None and not isinstance(value, Value):
            raise self.error(f"{show(value)} is no value that leads anywhere", expr.span)
        return value is not None and self.environment.leads(value, self.match.root.graph, expr)

    def unary(self, expr: Unary) -> Any:
        if expr.op == "not":
            return not self.truth(expr.operand)
        return -self.number(self.of(expr.operand), expr.operand)

    def binary(self, expr: Binary) -> Term:
        if expr.op in ("and", "or"):
            return self.junction(expr)
        left, right = self.of(expr.left), self.of(expr.right)
        if expr.op in ("==", "is", "!=", "is not"):
            return equal(left, right) == (expr.op in ("==", "is"))
        if expr.op in ("in", "not in"):
            return self.contains(left, right, expr.span) == (expr.op == "in")
        if expr.op == "+" and isinstance(left, tuple) and isinstance(right, tuple):
            return left + right
        return self.calculate(expr, left, right)

    def junction(self, expr: Binary) -> bool:
        """`and`, `or` of three values: what is undetermined matters only if it decides."""
        decisive = expr.op == "or"
        try:
            if self.truth(expr.left) == decisive:
                return decisive
        except Undetermined:
            if self.truth(expr.right) == decisive:
                return decisive
            raise
        return self.truth(expr.right)

    def contains(self, item: Term, group: Term, span: Span | None) -> bool:
        if isinstance(group, Unknown):
            raise _undecided(group)
        if not isinstance(group, tuple):
            raise self.error(f"'in' needs a list, not {show(group)}", span)
        doubt: Undetermined | None = None
        for member in group:
            try:
                if equal(item, member):
                    return True
            except Undetermined as unknown:
                doubt = unknown
        if doubt is not None:
            raise doubt
        return False

    def calculate(self, expr: Binary, left: Term, right: Term) -> Term:
        if expr.op not in _OPERATORS:
            raise self.error(f"unknown operator {expr.op!r}", expr.span)
        a, b = self.number(left, expr.left), self.number(right, expr.right)
        try:
            return _OPERATORS[expr.op](a, b)  # type: ignore[no-any-return]
        except ZeroDivisionError as error:
            raise Undetermined("a division by zero") from error

    def number(self, term: Term, expr: Expr) -> Any:
        """What an expression gave, as a number; Undetermined for sizes that are not known."""
        if isinstance(term, (Unknown, Symbol)):
            raise _undecided(term)
        if term is None:
            raise Undetermined(f"{format_expr(expr)} is absent")
        if isinstance(term, (np.generic, np.ndarray)) and term.size == 1:
            return term.item()
        if not isinstance(term, (int, float)):
            raise self.error(f"{show(term)} is no number", expr.span)
        return term


def _undecided(term: Unknown | Symbol) -> Undetermined:
    known = isinstance(term, Symbol)
    return Undetermined(f"unknown dimension '{term}'" if known else repr(term))


def _shape(value: Value, _: Environment) -> Term:
    return Unknown(f"shape of {value.name}") if value.shape is None else dimensions(value.shape)


def _rank(value: Value, _: Environment) -> Term:
    return Unknown(f"rank of {value.name}") if value.type.rank is None else value.type.rank


def _dtype(value: Value, _: Environment) -> Term:
    return Unknown(f"type of {value.name}") if value.type.dtype == "?" else value.type.dtype


_PROPERTIES: dict[str, Callable[[Value, Environment], Term]] = {
    "shape": _shape,
    "rank": _rank,
    "dtype": _dtype,
    "readers": lambda value, _: value.reader_count + value.is_output,
    "is_const": lambda value, environment: is_constant(value, environment.table),
    "is_stored": lambda value, _: value.data is not None,
    "is_output": lambda value, _: value.is_output,
    "is_input": lambda value, _: value.is_input,
    "name": lambda value, _: value.name,
    "depth": lambda value, _: depth_of(value),
}
#: The properties of a value; any other field is an attribute of the operator that defines it.
PROPERTIES = frozenset((*_PROPERTIES, *WEIGHT_SIZES, SIZE))

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "+": operator.add, "-": operator.sub, "*": operator.mul,
    "/": operator.truediv, "//": operator.floordiv, "%": operator.mod,
}  # fmt: skip

_EVALUATE: dict[type, Callable[[_Evaluation, Any], Term]] = {
    Name: _Evaluation.name, Literal: _Evaluation.literal, ListExpr: _Evaluation.list,
    Field: _Evaluation.field, Index: _Evaluation.index, NativeCall: _Evaluation.native,
    Unary: _Evaluation.unary, Binary: _Evaluation.binary, Path: _Evaluation.path,
}  # fmt: skip
