"""Names that may stand for nothing, where nothing will not do.

Of `b?` and of what a `maybe` binds that was not taken, the name is none.  Each is taken to be so in
turn, all else being unknown, and conditions and rewrites are followed as far as that decides them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product

from sparqc.declared.natives import Native
from sparqc.errors import Span
from sparqc.lang.ast import (
    Binary,
    Bind,
    BuildCall,
    CallPattern,
    Condition,
    Declaration,
    Expr,
    Field,
    FusionDecl,
    Index,
    Literal,
    Name,
    NativeCall,
    Path,
    RewriteStatement,
    RuleDecl,
    Unary,
)
from sparqc.lang.check.contradictions import conjuncts
from sparqc.lang.check.findings import Findings, PatternWarning
from sparqc.lang.check.scope import VALUES, Scope
from sparqc.lang.check.vocabulary import Vocabulary
from sparqc.lang.format.printer import format_expr
from sparqc.lang.parse.keywords import PROPERTIES
from sparqc.lang.walk import walk

#: Terms of which nothing is known, or only that they are not none.
ANYTHING, SOMETHING = object(), object()
#: What may come of a condition; None: it cannot be decided, and so does not hold.
Outcomes = frozenset[bool | None]
ALL: Outcomes = frozenset({True, False, None})
UNDECIDED: Outcomes = frozenset({None})


class _Undetermined(Exception):
    """An expression has no value where the name is none."""


def check_absent(
    declaration: Declaration,
    rule: RuleDecl | None,
    scope: Scope,
    vocabulary: Vocabulary,
    natives: Mapping[str, Native],
) -> Findings:
    """A warning for each name whose absence no condition asks for, and which must not be absent."""
    absent = dict(_may_be_absent(declaration))
    for name, cure in absent.items():
        without = _Without(name, frozenset(absent), scope, natives)
        asked = [list(conjuncts(c.expr)) for c in _conditions(declaration)]
        if any(_asks_for(name, e) and without.fails(e) for whole in asked for e in whole):
            continue  # whoever wrote it knew
        found = next(((e, whole) for whole in asked for e in whole if without.fails(e)), None)
        if found is not None:
            yield _of_condition(name, *found, cure)
        elif rule is not None:
            yield from _of_rewrite(name, rule.rewrite, without, vocabulary, cure)


def _conditions(declaration: Declaration) -> Iterator[Condition]:
    yield from declaration.where
    if isinstance(declaration, FusionDecl):
        yield from (*declaration.int8_where, *declaration.sparse_where, *declaration.pays)


def _of_condition(name: str, expr: Expr, whole: list[Expr], cure: str) -> PatternWarning:
    text = format_expr(expr)
    guarded = f"{name} is none or {text}"
    guarded = f"({guarded})" if len(whole) > 1 else guarded
    message = f"{name!r} may be absent, and then `{text}` does not hold"
    return PatternWarning(message, span=expr.span, hint=f"write {guarded}, or {cure}")


def _of_rewrite(
    name: str,
    rewrite: Iterable[RewriteStatement],
    without: _Without,
    vocabulary: Vocabulary,
    cure: str,
) -> Findings:
    for statement in rewrite:
        for needs, span in _needs(statement.expr, without, vocabulary):
            hint = f'write {name} is not none  else "…" in `where:`, or {cure}'
            message = f"{name!r} may be absent, and {needs}"
            yield PatternWarning(message, span=span or statement.span, hint=hint)
            return
        if name in statement.targets:
            return  # from here on it is something else


# -- which names ---------------------------------------------------------------------------------


def _may_be_absent(declaration: Declaration) -> Iterator[tuple[str, str]]:
    """The names that may be none, and what to write of one that must not be."""
    optional: dict[str, str] = {}
    present: set[str] = set()
    for statement in declaration.match:
        present.update(statement.targets)
        for name, cure in _bound(statement.call, ""):
            present.update([] if cure else [name])
            optional.setdefault(name, cure)
    yield from ((n, cure) for n, cure in optional.items() if n not in present)


def _bound(call: CallPattern, cure: str) -> Iterator[tuple[str, str]]:
    """The names of a call; the operand that stands for an untaken `maybe` is there all the same."""
    inside = f"leave out the `maybe` of {' or '.join(call.heads)}" if call.maybe else cure
    for attribute in call.attributes:
        if attribute.bind:
            yield attribute.bind, inside
    for at, operand in enumerate(call.operands):
        of_it = cure if at == 0 else inside
        if isinstance(operand, CallPattern):
            yield from _bound(operand, of_it)
        elif isinstance(operand, Bind) and operand.name != "_":
            missing = f"{operand.name} without ? in the match" if operand.optional else of_it
            yield operand.name, missing


def _asks_for(name: str, expr: Expr) -> bool:
    """Whether a condition asks if the name is there: `b is not none`, or `b` by itself."""
    if expr == Name(name):
        return True
    if isinstance(expr, Unary) and expr.op == "not":
        return _asks_for(name, expr.operand)
    if not isinstance(expr, Binary):
        return False
    if expr.op in ("and", "or"):
        return _asks_for(name, expr.left) or _asks_for(name, expr.right)
    sides = (expr.left, expr.right)
    return Literal(None) in sides and any(Name(name) in walk(side, Name) for side in sides)


# -- conditions ----------------------------------------------------------------------------------


class _Without:
    """What expressions give where one name is none."""

    def __init__(
        self, name: str, others: frozenset[str], scope: Scope, natives: Mapping[str, Native]
    ) -> None:
        self.name, self.others, self.scope, self.natives = name, others, scope, natives

    def fails(self, condition: Expr) -> bool:
        """Whether a condition certainly does not hold."""
        return True not in self.outcomes(condition) and Name(self.name) in walk(condition, Name)

    def outcomes(self, expr: Expr) -> Outcomes:
        """What may come of an expression as a condition."""
        if isinstance(expr, Unary) and expr.op == "not":
            return frozenset(None if o is None else not o for o in self.outcomes(expr.operand))
        if isinstance(expr, Binary) and expr.op in ("and", "or"):
            pairs = product(self.outcomes(expr.left), self.outcomes(expr.right))
            return frozenset(_joined(a, b, expr.op == "or") for a, b in pairs)
        try:
            if isinstance(expr, Binary):
                return self._comparison(expr)
            if isinstance(expr, Path):
                return frozenset({False}) if self.value(expr.of) is None else ALL
            value = self.value(expr)
        except _Undetermined:
            return UNDECIDED
        return ALL if value in (ANYTHING, SOMETHING) else frozenset({bool(value)})

    def _comparison(self, expr: Binary) -> Outcomes:
        left, right = self.value(expr.left), self.value(expr.right)
        if expr.op in ("==", "!=") and None in (left, right):
            other = right if left is None else left
            if other is ANYTHING:
                return ALL
            equal = frozenset({False, None}) if other is SOMETHING else frozenset({other is None})
            if expr.op == "==":
                return equal
            return frozenset(None if o is None else not o for o in equal)
        if expr.op in ("==", "!=", "in"):
            if expr.op == "in" and right is None:
                raise _Undetermined
            return ALL
        self.value(expr)
        return ALL

    def value(self, expr: Expr) -> object:
        """What an expression stands for; _Undetermined where it stands for nothing."""
        if isinstance(expr, Literal):
            return SOMETHING if expr.value is not None else None
        if isinstance(expr, Name):
            return None if expr.id == self.name else self._other(expr.id)
        if isinstance(expr, (Field, Index)):
            owner = self.value(expr.of)
            known = (
                isinstance(expr, Field) and expr.name in PROPERTIES and isinstance(expr.of, Name)
            )
            return (
                None if owner is None else SOMETHING if known and owner is SOMETHING else ANYTHING
            )
        if isinstance(expr, NativeCall):
            self._native(expr)
        elif isinstance(expr, Binary) and expr.op not in ("==", "!=", "in", "and", "or"):
            self._numbers(expr.left, expr.right)
        elif isinstance(expr, Unary) and expr.op == "-":
            self._numbers(expr.operand)
        return ANYTHING

    def _other(self, name: str) -> object:
        is_value = name in self.scope and self.scope.kinds[name] in VALUES
        return SOMETHING if is_value and name not in self.others else ANYTHING

    def _numbers(self, *exprs: Expr) -> None:
        if any(self.value(expr) is None for expr in exprs):
            raise _Undetermined

    def _native(self, call: NativeCall) -> None:
        native = self.natives.get(call.name)
        for index, argument in enumerate(call.arguments):
            value = self.value(argument)
            if native is None or value is not None or not native.parameters:
                continue
            parameter = native.parameter(index)
            if parameter.kind != "plain" and not parameter.optional:
                raise _Undetermined


def _joined(left: bool | None, right: bool | None, decisive: bool) -> bool | None:
    """`and`, or `or` where true decides: what cannot be decided matters only if it decides."""
    if decisive in (left, right):
        return decisive
    return None if None in (left, right) else not decisive


# -- rewrites ------------------------------------------------------------------------------------


def _needs(
    built: BuildCall | Expr, without: _Without, vocabulary: Vocabulary
) -> Iterator[tuple[str, Span | None]]:
    """What of a rewrite line needs the name, and where it does."""
    if not isinstance(built, BuildCall):
        try:
            without.value(built)
        except _Undetermined:
            yield f"`{format_expr(built)}` needs it", built.span
        return
    if built.maybe:
        return  # it is built where the match has what it names
    operator = vocabulary.operator(built.op)
    slots = operator.operands if operator is not None else ()
    for at, operand in enumerate(built.operands):
        yield from _needs(operand, without, vocabulary)
        slot = slots[min(at, len(slots) - 1)] if slots else None
        if slot is None or slot.optional or isinstance(operand, BuildCall):
            continue
        if isinstance(operand, (Name, Field, Index)) and without.value(operand) is None:
            yield f"{built.op} needs its operand {slot.name}", operand.span
    for _, value in built.attributes:
        yield from _needs(value, without, vocabulary)
