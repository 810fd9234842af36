"""From lark's tree to match statements."""

# ruff: noqa: D102 - each method builds the value of the grammar's rule of its name

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lark import Token
from lark.tree import Meta
from lark.visitors import v_args

from sparqc.errors import Span
from sparqc.lang.ast import (
    AttributePattern,
    Bind,
    CallPattern,
    Constraint,
    LiteralValue,
    MatchStatement,
    Number,
)
from sparqc.lang.parse.expressions import ExpressionBuilder
from sparqc.lang.parse.keywords import DTYPES


@dataclass(frozen=True)
class Rest:
    """`*name` at the end of the operands."""

    name: str
    span: Span


@v_args(meta=True)
class PatternBuilder(ExpressionBuilder):
    """Builds match statements."""

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
        ends: list[Token | Rest] = []
        for argument in arguments:
            if isinstance(argument, AttributePattern):
                self._no_second(argument, attributes)
                attributes.append(argument)
            elif isinstance(argument, Token | Rest):
                ends.append(argument)
                self._one_end(ends)
            else:
                self._in_front(argument.span, attributes, ends)
                operands.append(argument)
        rest = ends[0].name if ends and isinstance(ends[0], Rest) else None
        return CallPattern(
            heads, tuple(operands), bool(ends) and rest is None, rest, tuple(attributes),
            "MAYBE" in words, "ORDERED" in words, self.place(meta),
        )  # fmt: skip

    def _no_second(self, argument: Any, before: Iterable[Any]) -> None:
        if any(a.name == argument.name for a in before):
            raise self.fail(f"the attribute {argument.name!r} is given twice", argument.span)

    def _one_end(self, ends: list[Token | Rest]) -> None:
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
        return Bind(self._name(name), optional, constraint, self.place(meta))

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
        return [self._dim(item) for item in items]

    def _dim(self, item: Token) -> int | str:
        if item.type == "INT":
            return self._integer(item)
        return str(item) if item.type == "ELLIPSIS" else self._name(item)

    def rest(self, meta: Meta, items: list[Token]) -> Rest:
        return Rest(self._name(items[-1]), self.place(meta))

    def operand_number(self, meta: Meta, items: list[Any]) -> Number:
        return Number(items[0], self.place(meta))

    def attribute_bind(self, meta: Meta, items: list[Token]) -> AttributePattern:
        return AttributePattern(str(items[0]), bind=self._name(items[1]), span=self.place(meta))

    def attribute_literal(self, meta: Meta, items: list[Any]) -> AttributePattern:
        literal = items[1] if isinstance(items[1], tuple) else self._scalar(items[1])
        return AttributePattern(str(items[0]), literal, span=self.place(meta))

    def tuple_literal(self, meta: Meta, items: list[Any]) -> tuple[LiteralValue, ...]:
        return tuple(map(self._scalar, items))

    def number(self, meta: Meta, items: list[Token]) -> LiteralValue:
        value = self._scalar(items[-1])
        return -value if len(items) > 1 and value is not None else value  # type: ignore[operator]
