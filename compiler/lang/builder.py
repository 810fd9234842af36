"""From lark's tree of one line to the values of `sparqc.lang.ast`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from lark import Token, Transformer
from lark.tree import Meta
from lark.visitors import v_args

from sparqc.errors import PatternError, Span, did_you_mean
from sparqc.lang.ast import (
    AttributePattern,
    Binary,
    Bind,
    BuildCall,
    CallPattern,
    Condition,
    Constraint,
    Expr,
    Field,
    Index,
    ListExpr,
    Literal,
    MatchStatement,
    Name,
    NativeCall,
    Number,
    QuantizedOperand,
    RewriteStatement,
    Scalar,
    Unary,
)
from sparqc.lang.source import Source
from sparqc.lang.strings import read_template, unquote
from sparqc.lang.words import DTYPES, GRANULARITIES

_KEYWORDS: dict[str, Scalar] = {"true": True, "false": False, "none": None}
_LONGEST_NUMBER = 40


@dataclass(frozen=True)
class Header:
    """The first line of a declaration: `kind name (parameters) clause…:`."""

    kind: str
    name: str
    span: Span
    parameters: tuple[Bind, ...] | None = None
    open: bool = False
    #: clause -> the words in it, and where they stand
    clauses: dict[str, tuple[tuple[str, ...], Span]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Rest:
    name: str
    span: Span


@dataclass(frozen=True)
class _BuildAttribute:
    name: str
    value: Expr
    span: Span


@v_args(meta=True)
class Builder(Transformer[Token, Any]):
    """Builds the values of one line; `read_expr` parses the expressions in a reason's braces."""

    def __init__(self, source: Source, read_expr: Callable[[Source], Expr]) -> None:
        super().__init__(visit_tokens=False)
        self.source, self.read_expr = source, read_expr

    # -- places ----------------------------------------------------------------------------------

    def place(self, meta: Meta) -> Span:
        if meta.empty:
            return self.source.whole
        same = meta.end_line == meta.line
        return self.source.span(
            meta.line, meta.column, max(1, meta.end_column - meta.column) if same else 1
        )

    def token_place(self, token: Token) -> Span:
        return self.source.span(token.line or 1, token.column or 1, len(token))

    def token_source(self, token: Token) -> Source:
        return self.source.piece(str(token), token.start_pos or 0)

    def fail(self, message: str, span: Span, hint: str = "") -> PatternError:
        return PatternError(message, span=span, hint=hint)

    # -- declarations ----------------------------------------------------------------------------

    def header(self, meta: Meta, items: list[Any]) -> Header:
        kind, name, *others = items
        parameters, is_open = None, False
        if others and isinstance(others[0], list):
            parameters, is_open = self._parameters(others.pop(0))
        clauses: dict[str, tuple[tuple[str, ...], Span]] = {}
        for word, words, span in others:
            if word in clauses:
                raise self.fail(f"`{word}` is given twice", span)
            clauses[word] = (words, span)
        return Header(
            str(kind), str(name), self.token_place(name), parameters, is_open, clauses
        )  # fmt: skip

    def parameters(self, meta: Meta, items: list[Any]) -> list[Any]:
        return items

    def _parameters(self, items: list[Any]) -> tuple[tuple[Bind, ...], bool]:
        for dots in items[:-1]:
            if isinstance(dots, Token):
                raise self.fail("`...` stands after the last parameter", self.token_place(dots))
        is_open = bool(items) and isinstance(items[-1], Token)
        return tuple(items[:-1] if is_open else items), is_open

    def _clause(self, meta: Meta, items: list[Any]) -> tuple[str, tuple[str, ...], Span]:
        word, *words = items
        return str(word), tuple(map(str, words)), self.place(meta)

    on = for_target = preserves = decreases = grade = _clause

    def measure(self, meta: Meta, items: list[Token]) -> str:
        name, *arguments = map(str, items)
        return f"{name}({', '.join(arguments)})" if arguments else name

    def names(self, meta: Meta, items: list[Token]) -> tuple[str, ...]:
        return tuple(map(str, items))

    def quantized(self, meta: Meta, items: list[Any]) -> QuantizedOperand:
        *first, names, _, granularity = items
        if first and first[0] != "output":
            message = f"a comma or `output` is expected, not {str(first[0])!r}"
            raise self.fail(message, self.token_place(first[0]))
        self._one_of(granularity, GRANULARITIES, "granularity")
        return QuantizedOperand(names, str(granularity), bool(first), self.place(meta))  # type: ignore[arg-type]

    def _one_of(self, token: Token, known: Iterable[str], what: str) -> str:
        if token not in known:
            hint = did_you_mean(str(token), known)
            raise self.fail(f"unknown {what} {str(token)!r}", self.token_place(token), hint)
        return str(token)

    # -- patterns --------------------------------------------------------------------------------

    def statement(self, meta: Meta, items: list[Any]) -> MatchStatement:
        names, *shared, call = items
        return MatchStatement(names, call, bool(shared), self.place(meta))

    def heads(self, meta: Meta, items: list[Token]) -> tuple[str, ...]:
        return tuple(map(str, items))

    def call(self, meta: Meta, items: list[Any]) -> CallPattern:
        words = {item.type for item in items if isinstance(item, Token) and item.type != "ELLIPSIS"}
        heads, *arguments = (
            i for i in items if not isinstance(i, Token) or i.type == "ELLIPSIS"
        )  # fmt: skip
        operands: list[Bind | Number | CallPattern] = []
        attributes: list[AttributePattern] = []
        ends: list[Token | _Rest] = []
        for argument in arguments:
            if isinstance(argument, AttributePattern):
                self._no_second(argument, attributes)
                attributes.append(argument)
            elif isinstance(argument, Token | _Rest):
                ends.append(argument)
                self._one_end(ends)
            else:
                self._in_front(argument.span, attributes, ends)
                operands.append(argument)
        rest = ends[0].name if ends and isinstance(ends[0], _Rest) else None
        return CallPattern(
            heads, tuple(operands), bool(ends) and rest is None, rest, tuple(attributes),
            "MAYBE" in words, "ORDERED" in words, self.place(meta),
        )  # fmt: skip

    def _no_second(self, argument: Any, before: Iterable[Any]) -> None:
        if any(a.name == argument.name for a in before):
            raise self.fail(f"the attribute {argument.name!r} is given twice", argument.span)

    def _one_end(self, ends: list[Token | _Rest]) -> None:
        if len(ends) > 1:
            last = ends[-1]
            span = self.token_place(last) if isinstance(last, Token) else last.span
            raise self.fail("the operands end in one `...` or one `*name`", span)

    def _in_front(self, span: Span, attributes: list[Any], ends: list[Any]) -> None:
        if attributes or ends:
            after = "`...` or `*name`" if ends else "an attribute"
            raise self.fail(f"operands stand in front of {after}", span)

    def bind(self, meta: Meta, items: list[Any]) -> Bind:
        name, *others = items
        constraint = others[-1] if others and isinstance(others[-1], Constraint) else None
        optional = bool(others) and isinstance(others[0], Token)
        return Bind(str(name), optional, constraint, self.place(meta))

    def constraint(self, meta: Meta, items: list[Any]) -> Constraint:
        if not items:
            hint = "a constraint reads: const f16|f32[n, 3, ...]"
            raise self.fail("nothing stands behind the ':'", self.source.whole, hint)
        dims = next((i for i in items if isinstance(i, list)), None)
        dtypes = next((i for i in items if isinstance(i, tuple)), ())
        const = any(isinstance(i, Token) for i in items)
        return Constraint(const, dtypes, None if dims is None else tuple(dims))

    def dtypes(self, meta: Meta, items: list[Token]) -> tuple[str, ...]:
        return tuple(self._one_of(item, DTYPES, "element type") for item in items)

    def dims(self, meta: Meta, items: list[Token]) -> list[int | str]:
        if sum(item.type == "ELLIPSIS" for item in items) > 1:
            raise self.fail("`...` stands for any number of dimensions once", self.place(meta))
        return [self._integer(i) if i.type == "INT" else str(i) for i in items]

    def rest(self, meta: Meta, items: list[Token]) -> _Rest:
        return _Rest(str(items[-1]), self.place(meta))

    def operand_number(self, meta: Meta, items: list[Any]) -> Number:
        return Number(items[0], self.place(meta))

    def attribute_bind(self, meta: Meta, items: list[Token]) -> AttributePattern:
        return AttributePattern(str(items[0]), bind=str(items[1]), span=self.place(meta))

    def attribute_literal(self, meta: Meta, items: list[Any]) -> AttributePattern:
        literal = items[1] if isinstance(items[1], tuple) else self._scalar(items[1])
        return AttributePattern(str(items[0]), literal, span=self.place(meta))

    def tuple_literal(self, meta: Meta, items: list[Any]) -> tuple[Scalar, ...]:
        return tuple(map(self._scalar, items))

    def number(self, meta: Meta, items: list[Token]) -> Scalar:
        value = self._scalar(items[-1])
        return -value if len(items) > 1 and value is not None else value  # type: ignore[operator]

    def _scalar(self, item: Any) -> Scalar:
        if not isinstance(item, Token):
            return item  # type: ignore[no-any-return]  # a number, built already
        if item.type == "STRING":
            return unquote(self.token_source(item))
        if item.type == "INT":
            return self._integer(item)
        return float(item) if item.type == "FLOAT" else _KEYWORDS[str(item)]

    def _integer(self, token: Token) -> int:
        if len(token) > _LONGEST_NUMBER:
            raise self.fail("this number has too many digits", self.token_place(token))
        return int(token)

    # -- expressions -----------------------------------------------------------------------------

    def condition(self, meta: Meta, items: list[Any]) -> Condition:
        expr, *reason = items
        template = None
        if reason:
            template = read_template(self.token_source(reason[1]), self.read_expr)
        return Condition(expr, template, self.place(meta))

    def binary(self, meta: Meta, items: list[Any]) -> Binary:
        left, operator, right = items
        return Binary(str(operator), left, right, self.place(meta))

    def unary(self, meta: Meta, items: list[Any]) -> Unary | Literal:
        operator, operand = items
        if operator == "-" and isinstance(operand, Literal) and _is_number(operand.value):
            return Literal(-operand.value, self.place(meta))  # type: ignore[operator]
        return Unary("not" if operator == "not" else "-", operand, self.place(meta))

    def comparison(self, meta: Meta, items: list[Any]) -> Expr:
        if len(items) > 3:
            hint = "write `a < b and b < c`"
            raise self.fail("comparisons do not chain", self.place(meta), hint)
        left, comparator, right = items
        return self._compare(left, comparator, right, self.place(meta))

    def _compare(self, left: Expr, comparator: str, right: Expr, span: Span) -> Expr:
        if comparator == "not in":
            return Unary("not", Binary("in", left, right, span), span)
        if not comparator.startswith("is"):
            return Binary(comparator, left, right, span)
        if right != Literal(None):
            hint = "compare with == or !="
            raise self.fail("only `is none` and `is not none` exist", span, hint)
        return Binary("!=" if comparator == "is not" else "==", left, right, span)

    def comparator(self, meta: Meta, items: list[Token]) -> str:
        return " ".join(items)

    def field(self, meta: Meta, items: list[Any]) -> Field:
        return Field(items[0], str(items[1]), self.place(meta))

    def index(self, meta: Meta, items: list[Any]) -> Index:
        return Index(items[0], items[1], self.place(meta))

    def name(self, meta: Meta, items: list[Token]) -> Name:
        return Name(str(items[0]), self.place(meta))

    def literal(self, meta: Meta, items: list[Token]) -> Literal:
        return Literal(self._scalar(items[0]), self.place(meta))

    def list(self, meta: Meta, items: list[Expr]) -> ListExpr:
        return ListExpr(tuple(items), self.place(meta))

    def native(self, meta: Meta, items: list[Any]) -> NativeCall:
        return NativeCall(str(items[0]), tuple(items[1:]), self.place(meta))

    # -- rewrites --------------------------------------------------------------------------------

    def rewrite(self, meta: Meta, items: list[Any]) -> RewriteStatement:
        return RewriteStatement(items[0], items[1], self.place(meta))

    def build(self, meta: Meta, items: list[Any]) -> BuildCall:
        words = {item.type: str(item) for item in items if isinstance(item, Token)}
        operands: list[Expr | BuildCall] = []
        attributes: list[_BuildAttribute] = []
        rests: list[Token | _Rest] = []
        for argument in (i for i in items if not isinstance(i, Token)):
            if isinstance(argument, _BuildAttribute):
                self._no_second(argument, attributes)
                attributes.append(argument)
            elif isinstance(argument, _Rest):
                rests.append(argument)
                self._one_end(rests)
            else:
                self._in_front(argument.span, attributes, rests)
                operands.append(argument)
        return BuildCall(
            words["HEAD"], tuple(operands), tuple((a.name, a.value) for a in attributes),
            next((r.name for r in rests if isinstance(r, _Rest)), None), words.get("NAME"),
            "MAYBE" in words, self.place(meta),
        )  # fmt: skip

    def build_attribute(self, meta: Meta, items: list[Any]) -> _BuildAttribute:
        return _BuildAttribute(str(items[0]), items[1], self.place(meta))


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
