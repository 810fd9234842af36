"""Expressions: names are bound, natives exist and take so many arguments, fields make sense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sparqc.base.text import counted
from sparqc.declared.natives import Native
from sparqc.errors import Fix, PatternError, closest, did_you_mean
from sparqc.lang.ast import (
    CheckDecl,
    Condition,
    Declaration,
    Expr,
    Field,
    FusionDecl,
    Name,
    NativeCall,
    ShareDecl,
    Template,
)
from sparqc.lang.check.findings import Findings
from sparqc.lang.check.scope import KIND_NAMES, VALUES, Scope
from sparqc.lang.check.vocabulary import Vocabulary
from sparqc.lang.fixes import instead, misspelt
from sparqc.lang.parse.keywords import DTYPES, KNOB, PAYS, PROPERTIES
from sparqc.lang.walk import walk


def check_expressions(
    declaration: Declaration, scope: Scope, vocabulary: Vocabulary, natives: Mapping[str, Native]
) -> Findings:
    """What is wrong with the conditions and the sentences of one declaration."""
    for expr in _expressions(declaration):
        yield from check_expression(expr, scope, vocabulary, natives)
    if isinstance(declaration, FusionDecl):
        for expr in (e for condition in declaration.pays for e in _of_condition(condition)):
            yield from check_expression(expr, scope, vocabulary, natives, PAYS)


def check_expression(
    expr: Expr | Template,
    scope: Scope,
    vocabulary: Vocabulary,
    natives: Mapping[str, Native],
    local: Iterable[str] = (),
) -> Findings:
    """What is wrong with one expression; `local` are names that it may use beside the match's."""
    known = {*scope.kinds, *local}
    asked = {id(f.of) for f in walk(expr, Field) if f.of == Name(KNOB)}
    for name in walk(expr, Name):
        if name.id not in known and id(name) not in asked:
            message = f"the match binds no {name.id!r}"
            if name.id in DTYPES:
                hint = f'a type is a word: "{name.id}"'
                fixes = (Fix(name.span, f'"{name.id}"'),) if name.span else ()
                yield PatternError(message, span=name.span, hint=hint, fixes=fixes)
            else:
                yield misspelt(message, name.id, known, name.span)
    for call in walk(expr, NativeCall):
        yield from _native(call, natives)
    for field in walk(expr, Field):
        yield from _field(field, scope, vocabulary)


def _expressions(declaration: Declaration) -> Iterator[Expr | Template]:
    conditions = list(declaration.where)
    if isinstance(declaration, FusionDecl):
        conditions += [*declaration.int8_where, *declaration.sparse_where]
        yield from (p.reason for p in declaration.pairings if p.reason is not None)
        yield from (q.scale for q in declaration.int8 if q.scale is not None)
        operands = (*declaration.int8, *declaration.sparse_outputs)
        yield from (q.reason for q in operands if q.reason is not None)
    for condition in conditions:
        yield from _of_condition(condition)
    if isinstance(declaration, ShareDecl) and declaration.reason is not None:
        yield declaration.reason
    if isinstance(declaration, CheckDecl):
        yield declaration.message
        if declaration.cure is not None:
            yield declaration.cure


def _of_condition(condition: Condition) -> Iterator[Expr | Template]:
    yield condition.expr
    if condition.reason is not None:
        yield condition.reason


def _native(call: NativeCall, natives: Mapping[str, Native]) -> Findings:
    native = natives.get(call.name)
    if native is None:
        hint = "\n  ".join(filter(None, (did_you_mean(call.name, natives), _import_hint(call))))
        fixes = instead(call.name, call.span, closest(call.name, natives))
        message = f"unknown function @{call.name}"
        yield PatternError(message, span=call.span, hint=hint, fixes=fixes)
    elif not native.takes(len(call.arguments)):
        names = ", ".join(p.name for p in native.parameters)
        message = f"@{call.name} takes {_counts(native)}, not {len(call.arguments)}"
        hint = f"it is @{call.name}({names}) of {native.module}"
        yield PatternError(message, span=call.span, hint=hint)


def _import_hint(call: NativeCall) -> str:
    """How a native of a person's own becomes known.  A file beside the pattern file is named, never
    run: to open a pattern file runs no code that nobody asked for."""
    beside = Path(call.span.file).with_suffix(".py") if call.span and call.span.file else None
    if beside is not None and beside.is_file():
        return f"if it is defined in {beside}, let that be run: --import {beside}"
    return "a native of your own is known once it is imported: --import FILE.py"


def _counts(native: Native) -> str:
    if native.most is None:
        return f"{native.least} arguments or more"
    if native.least == native.most:
        return counted(native.most, "argument")
    return f"{native.least} to {native.most} arguments"


def _field(field: Field, scope: Scope, vocabulary: Vocabulary) -> Findings:
    """A field asked of a name: values have properties, and their operators attributes."""
    if field.of == Name(KNOB):
        if field.name not in vocabulary.knobs:
            message = f"there is no knob {field.name!r}"
            yield misspelt(message, field.name, vocabulary.knobs, field.span)
        return
    if not isinstance(field.of, Name) or field.of.id not in scope:
        return
    name, kind = field.of.id, scope.kinds[field.of.id]
    if kind not in VALUES:
        message = f"{name!r} is {KIND_NAMES[kind]} and has no field {field.name!r}"
        yield PatternError(message, span=field.span)
    elif field.name not in PROPERTIES:
        known = _attributes(name, scope, vocabulary)
        if known is not None and field.name not in known:
            message = f"{name!r} has no property and no attribute {field.name!r}"
            if own := _PYTHON.get(field.name):
                fixes = instead(field.name, field.span, [own])
                yield PatternError(message, span=field.span, hint=f"write {own}", fixes=fixes)
            else:
                yield misspelt(message, field.name, [*PROPERTIES, *known], field.span)


#: What Python's libraries call the properties of a tensor.
_PYTHON = {
    "dim": "rank", "ndim": "rank", "size": "shape", "sizes": "shape", "type": "dtype",
    "users": "readers", "consumers": "readers",
}  # fmt: skip


def _attributes(name: str, scope: Scope, vocabulary: Vocabulary) -> frozenset[str] | None:
    """The attributes that the operator behind a value may have; None: not known."""
    statement = scope.statements.get(name)
    if statement is None or statement.call.maybe:
        return _every_attribute(vocabulary)
    known: frozenset[str] = frozenset()
    for head in statement.call.heads:
        attributes = vocabulary.attributes(head)
        if attributes is None:
            return None
        known |= attributes
    return known


def _every_attribute(vocabulary: Vocabulary) -> frozenset[str]:
    """What some operator of the table has: who defines an operand is not known."""
    operators = (vocabulary.table.get(name) for name in vocabulary.table.names)
    return frozenset(attribute for o in operators if o for attribute in o.attributes)
