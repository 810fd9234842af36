"""From lark's tree to expressions; the parts of a line that every kind of line has."""

# ruff: noqa: D102 - each method builds the value of the grammar's rule of its name

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from lark import Token, Transformer
from lark.tree import Meta
from lark.visitors import v_args

from sparqc.errors import PatternError, Span
from sparqc.lang.ast import (
    Binary,
    Condition,
    Expr,
    Field,
    Index,
    ListExpr,
    Literal,
    LiteralValue,
    Name,
    NativeCall,
    Path,
    Template,
    Unary,
)
from sparqc.lang.fixes import misspelt
from sparqc.lang.parse.keywords import RESERVED
from sparqc.lang.parse.source import Source
from sparqc.lang.parse.strings import read_template, unquote

_KEYWORDS: dict[str, LiteralValue] = {"true": True, "false": False, "none": None}
_LONGEST_NUMBER = 40


@v_args(meta=True)
class ExpressionBuilder(Transformer[Token, Any]):
    """Builds expressions; `read_expr` parses those in the braces of a sentence."""

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

    # -- expressions -----------------------------------------------------------------------------

    def condition(self, meta: Meta, items: list[Any]) -> Condition:
        expr, *reason = items
        return Condition(expr, reason[0] if reason else None, self.place(meta))

    def never(self, meta: Meta, items: list[Any]) -> Condition:
        _, text, *told = items
        sentence, where = read_template(self.token_source(text), self.read_expr), self.place(meta)
        expr = Unary("not", told[1], told[1].span) if told else Literal(False)
        return Condition(expr, sentence, where, never=True)

    def said(self, meta: Meta, items: list[Token]) -> Template:
        *name, sentence = items[1:]
        template = read_template(self.token_source(sentence), self.read_expr)
        return replace(template, id=self._name(name[0])) if name else template

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
            python = right == Name("None")
            hint = f"write {comparator} none" if python else "compare with == or !="
            raise self.fail("only `is none` and `is not none` exist", span, hint)
        return Binary("!=" if comparator == "is not" else "==", left, right, span)

    def path(self, meta: Meta, items: list[Any]) -> Path:
        of, *rest = items
        kinds = [item for item in rest if isinstance(item, tuple)]
        through = kinds[1] if len(kinds) > 1 else ()
        return Path(of, kinds[0], through, rest[0] == "comes", "only" in rest, self.place(meta))

    def kinds(self, meta: Meta, items: list[Token]) -> tuple[str, ...]:
        return tuple(map(str, items))

    def comparator(self, meta: Meta, items: list[Token]) -> str:
        return " ".join(items)

    def field(self, meta: Meta, items: list[Any]) -> Field:
        return Field(items[0], str(items[1]), self.place(meta))

    def index(self, meta: Meta, items: list[Any]) -> Index:
        return Index(items[0], items[1], self.place(meta))

    def name(self, meta: Meta, items: list[Token]) -> Name:
        return Name(self._name(items[0]), self.place(meta))

    def literal(self, meta: Meta, items: list[Token]) -> Literal:
        return Literal(self._scalar(items[0]), self.place(meta))

    def list_expr(self, meta: Meta, items: list[Expr]) -> ListExpr:
        return ListExpr(tuple(items), self.place(meta))

    def native(self, meta: Meta, items: list[Any]) -> NativeCall:
        return NativeCall(str(items[0]), tuple(items[1:]), self.place(meta))

    # -- words and numbers -----------------------------------------------------------------------

    def _scalar(self, item: Any) -> LiteralValue:
        if not isinstance(item, Token):
            return item  # type: ignore[no-any-return]  # a number, built already
        if item.type == "STRING":
            return unquote(self.token_source(item))
        if item.type == "INT":
            return self._integer(item)
        return float(item) if item.type == "FLOAT" else _KEYWORDS[str(item)]

    def _name(self, token: Token) -> str:
        """A name that is being bound or looked up."""
        if token in RESERVED:
            hint = "take another name"
            if token == "none":
                hint = "an operand that may be absent is written `b?`; ask `b is none` in `where:`"
            raise self.fail(f"{str(token)!r} is no name", self.token_place(token), hint)
        return str(token)

    def _integer(self, token: Token) -> int:
        if len(token) > _LONGEST_NUMBER:
            raise self.fail("this number has too many digits", self.token_place(token))
        return int(token)

    def _one_of(self, token: Token, known: Iterable[str], what: str) -> str:
        if token not in known:
            message = f"unknown {what} {str(token)!r}"
            raise misspelt(message, str(token), known, self.token_place(token))
        return str(token)


def _is_number(value: LiteralValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
