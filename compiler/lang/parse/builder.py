"""From lark's tree of one line to the values of `sparqc.lang.ast`."""

# ruff: noqa: D102 - each method builds the value of the grammar's rule of its name

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lark import Token
from lark.tree import Meta
from lark.visitors import v_args

from sparqc.errors import Span
from sparqc.lang.ast import (
    Bind,
    BuildCall,
    Expr,
    Pairing,
    QuantizedOperand,
    RewriteStatement,
    Template,
)
from sparqc.lang.parse.keywords import GRANULARITIES
from sparqc.lang.parse.patterns import PatternBuilder, Rest


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
class _BuildAttribute:
    name: str
    value: Expr
    span: Span


@v_args(meta=True)
class LineBuilder(PatternBuilder):
    """Builds the value of any line."""

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

    on = for_target = preserves = decreases = grade = role = _clause

    def measure(self, meta: Meta, items: list[Token]) -> str:
        name, *arguments = map(str, items)
        return f"{name}({', '.join(arguments)})" if arguments else name

    def names(self, meta: Meta, items: list[Token]) -> tuple[str, ...]:
        return tuple(map(self._name, items))

    def quantized(self, meta: Meta, items: list[Any]) -> QuantizedOperand:
        reason = items.pop() if isinstance(items[-1], Template) else None
        scale = items.pop() if not isinstance(items[-1], Token) else None
        if scale is not None:
            items.pop()
        *first, names, _, granularity = items
        if first and first[0] != "output":
            message = f"a comma or `output` is expected, not {str(first[0])!r}"
            raise self.fail(message, self.token_place(first[0]))
        self._one_of(granularity, GRANULARITIES, "granularity")
        return QuantizedOperand(
            names, str(granularity), bool(first), scale, reason,  # type: ignore[arg-type]
            self.place(meta),
        )  # fmt: skip

    def pairing(self, meta: Meta, items: list[Any]) -> Pairing:
        operand, _, fusion, *reason = items
        said = reason[0] if reason else None
        return Pairing(self._name(operand), str(fusion), said, self.place(meta))

    def scaled(self, meta: Meta, items: list[Any]) -> tuple[tuple[str, ...], Template | None]:
        names, *reason = items
        return names, reason[0] if reason else None

    # -- rewrites --------------------------------------------------------------------------------

    def rewrite(self, meta: Meta, items: list[Any]) -> RewriteStatement:
        return RewriteStatement(items[0], items[1], len(items) > 2, self.place(meta))

    def build(self, meta: Meta, items: list[Any]) -> BuildCall:
        words = {item.type: str(item) for item in items if isinstance(item, Token)}
        operands: list[Expr | BuildCall] = []
        attributes: list[_BuildAttribute] = []
        rests: list[Token | Rest] = []
        for argument in (i for i in items if not isinstance(i, Token)):
            if isinstance(argument, _BuildAttribute):
                self._no_second(argument, attributes)
                attributes.append(argument)
            elif isinstance(argument, Rest):
                rests.append(argument)
                self._one_end(rests)
            else:
                self._in_front(argument.span, attributes, rests)
                operands.append(argument)
        return BuildCall(
            words["HEAD"], tuple(operands), tuple((a.name, a.value) for a in attributes),
            next((r.name for r in rests if isinstance(r, Rest)), None), words.get("NAME"),
            "MAYBE" in words, self.place(meta),
        )  # fmt: skip

    def build_attribute(self, meta: Meta, items: list[Any]) -> _BuildAttribute:
        return _BuildAttribute(str(items[0]), items[1], self.place(meta))
