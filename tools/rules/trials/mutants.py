"""Rules that ask for less than they should."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from sparqc.errors import Span
from sparqc.lang.ast import Binary, Bind, CallPattern, Constraint, Expr, Name, Number, RuleDecl
from sparqc.lang.format.printer import format_expr
from sparqc.lang.parse.keywords import KNOB
from sparqc.lang.parse.layout import read_layout
from sparqc.lang.walk import walk

#: The comment that says why a condition stays that nothing goes wrong without.
_KEPT = re.compile(r"#\s*kept:\s*(?P<reason>\S.*)")


@dataclass(frozen=True)
class Mutant:
    """A rule without one of its conditions, or with less of one."""

    rule: RuleDecl
    #: What it does without, as the file says it.
    without: str
    #: Where that stands.
    span: Span | None


def mutants_of(rule: RuleDecl) -> Iterator[Mutant]:
    """One for each part of each condition, and for each attribute, type, shape and number that the
    match asks for."""
    for index, condition in enumerate(rule.where):
        if any(name.id == KNOB for name in walk(condition.expr, Name)):
            continue  # a person's wish
        parts = _conjuncts(condition.expr)
        for part in parts:
            left = [p for p in parts if p is not part]
            kept = [replace(condition, expr=_all(left))] if left else []
            where = (*rule.where[:index], *kept, *rule.where[index + 1 :])
            span = condition.span or rule.span
            yield Mutant(replace(rule, where=where), format_expr(part), span)
    for index, statement in enumerate(rule.match):
        for call, without in _loosened(statement.call):
            match = (
                *rule.match[:index], replace(statement, call=call), *rule.match[index + 1 :]
            )  # fmt: skip
            yield Mutant(replace(rule, match=match), without, statement.span or rule.span)


def _conjuncts(expr: Expr) -> list[Expr]:
    if isinstance(expr, Binary) and expr.op == "and":
        return [*_conjuncts(expr.left), *_conjuncts(expr.right)]
    return [expr]


def _all(parts: list[Expr]) -> Expr:
    whole = parts[0]
    for part in parts[1:]:
        whole = Binary("and", whole, part)
    return whole


def _loosened(call: CallPattern) -> Iterator[tuple[CallPattern, str]]:
    """The call with one demand less, and what was asked."""
    for index, attribute in enumerate(call.attributes):
        if attribute.bind is None:
            left = (*call.attributes[:index], *call.attributes[index + 1 :])
            yield replace(call, attributes=left), f"{attribute.name}={_literal(attribute.literal)}"
    for index, operand in enumerate(call.operands):
        found: Iterator[tuple[Bind | Number | CallPattern, str]]
        if isinstance(operand, CallPattern):
            found = iter(_loosened(operand))
        elif isinstance(operand, Number):
            found = iter([(Bind("_"), f"{call.heads[0]}(… {operand.value} …)")])
        else:
            found = _unconstrained(operand)
        for other, without in found:
            operands = (*call.operands[:index], other, *call.operands[index + 1 :])
            yield replace(call, operands=operands), without


def _unconstrained(bind: Bind) -> Iterator[tuple[Bind, str]]:
    constraint = bind.constraint
    if constraint is not None and constraint.dtypes:
        less = Constraint(constraint.const, (), constraint.dims)
        yield replace(bind, constraint=less), f"{bind.name}: {'|'.join(constraint.dtypes)}"
    if constraint is not None and constraint.dims is not None:
        sizes = ", ".join(map(str, constraint.dims))
        less = Constraint(constraint.const, constraint.dtypes)
        yield replace(bind, constraint=less), f"{bind.name}: [{sizes}]"


def _literal(value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def reason_for(mutant: Mutant, text: str, file: str) -> str:
    """Why the file keeps what a mutant does without: `# kept: …` behind the line, or directly above
    it; "" without."""
    if mutant.span is None:
        return ""
    return _reasons(text, file).get(mutant.span.line, "")


@cache
def _reasons(text: str, file: str) -> dict[int, str]:
    """Line -> the reason for it; it goes on in the comments below."""
    comments = {c.line: c for c in read_layout(text, file).comments}
    found: dict[int, str] = {}
    for number, comment in sorted(comments.items()):
        begins = _KEPT.match(comment.text)
        if begins is None:
            continue
        words, below = [begins["reason"]], number
        while comment.alone and below + 1 in comments and comments[below + 1].alone:
            below += 1
            words.append(comments[below].text.lstrip("# "))
        found[below + 1 if comment.alone else number] = " ".join(words)
    return found
