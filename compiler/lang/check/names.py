"""Names of a match block: each is bound once, and everything leads to one root."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sparqc.errors import PatternError, Span
from sparqc.lang.ast import (
    Declaration,
    FusionDecl,
    MatchStatement,
    OpDecl,
    PrecisionDecl,
    RuleDecl,
    ShareDecl,
)
from sparqc.lang.check.findings import Findings
from sparqc.lang.check.scope import (
    IGNORED,
    KIND_NAMES,
    NUMBERS,
    VALUES,
    Scope,
    calls_of,
    reads,
    roots_of,
)
from sparqc.lang.fixes import misspelt


def check_names(declaration: Declaration, scope: Scope) -> Findings:
    """What is wrong with the names of one declaration."""
    yield from _doc(declaration)
    yield from _bound_twice(declaration)
    yield from _mixed_kinds(scope)
    yield from _rests(declaration, scope)
    yield from _root(declaration)
    if isinstance(declaration, OpDecl):
        yield from _parameters(declaration)
    if isinstance(declaration, FusionDecl):
        yield from _fusion(declaration, scope)
    if isinstance(declaration, PrecisionDecl) and declaration.role == "shares type":
        yield from _value("x", scope, declaration.span, "shares type")
    if isinstance(declaration, ShareDecl):
        for name in declaration.scale:
            yield from _value(name, scope, declaration.span, "scale")


def _doc(declaration: Declaration) -> Findings:
    if isinstance(declaration, RuleDecl | FusionDecl | PrecisionDecl) and not declaration.doc:
        message = f"{declaration.name} does not say in a sentence what it is"
        hint = 'the first line below is a string: "Two negations are none."'
        yield PatternError(message, span=declaration.span, hint=hint)


def _bound_twice(declaration: Declaration) -> Findings:
    parameters = declaration.parameters if isinstance(declaration, OpDecl) else ()
    seen: dict[str, object] = {}
    for parameter in parameters:
        if parameter.name in seen:
            yield PatternError(f"two parameters are named {parameter.name!r}", span=parameter.span)
        seen[parameter.name] = parameter
    for statement in declaration.match:
        for target in statement.targets:
            if target in seen:
                what = "is a parameter" if target in {p.name for p in parameters} else "is bound"
                message = f"{target!r} {what} already"
                yield PatternError(message, span=statement.span, hint="take another name")
            if target != IGNORED:
                seen[target] = statement


def _mixed_kinds(scope: Scope) -> Findings:
    """One name stands for one kind of thing; an attribute and a dimension may be compared."""
    for binding in scope.bindings:
        first = scope.kinds[binding.name]
        kinds = {binding.kind, first}
        if len(kinds) > 1 and not kinds <= NUMBERS and not kinds <= VALUES:
            is_one, and_another = KIND_NAMES[first], KIND_NAMES[binding.kind]
            message = f"{binding.name!r} is {is_one} and cannot be {and_another} too"
            yield PatternError(message, span=binding.span, hint="take two names")


def _rests(declaration: Declaration, scope: Scope) -> Findings:
    counts: dict[str, int] = {}
    for call in calls_of(declaration):
        if call.rest is not None and call.rest != IGNORED:
            counts[call.rest] = counts.get(call.rest, 0) + 1
            if counts[call.rest] == 2:
                message = f"'*{call.rest}' stands for the remaining operands of one operator only"
                yield PatternError(message, span=call.span, hint="take another name")


def _root(declaration: Declaration) -> Findings:
    roots = roots_of(declaration)
    circles = [s for s in declaration.match if _reads_itself(declaration, s)]
    for statement in circles:
        yield PatternError(f"{_names(statement)} depends on itself", span=statement.span)
    if not roots:
        return
    reached = _reached(declaration, [roots[0]])
    for other in roots[1:]:
        inner = _reached(declaration, [other])
        yield _second_root(roots[0], other, bool(inner & reached or _shared(roots[0], other)))
        reached |= inner
    for statement in declaration.match:
        if id(statement) not in reached and statement not in circles:
            message = f"{_names(statement)} is not connected to the root {_names(roots[0])}"
            yield PatternError(message, span=statement.span)


def _shared(first: MatchStatement, other: MatchStatement) -> bool:
    return bool(reads(first.call) & reads(other.call))


def _second_root(first: MatchStatement, other: MatchStatement, connected: bool) -> PatternError:
    one, two = _names(first), _names(other)
    message = f"{two} is not connected to the root {one}"
    if connected:
        message = f"nothing reads {one}, and nothing reads {two}: only one can be the root"
    hint = "the root is the one value that no other line of the match reads"
    return PatternError(message, span=other.span, hint=hint)


def _names(statement: MatchStatement) -> str:
    return " and ".join(repr(t) for t in statement.targets)


def _reached(declaration: Declaration, starts: Iterable[MatchStatement]) -> set[int]:
    """The statements that some statements depend on, these included, by identity."""
    found: set[int] = set()
    stack = list(starts)
    while stack:
        statement = stack.pop()
        if id(statement) not in found:
            found.add(id(statement))
            stack += _sources(declaration, statement)
    return found


def _sources(declaration: Declaration, statement: MatchStatement) -> Iterator[MatchStatement]:
    read = reads(statement.call)
    return (s for s in declaration.match if read.intersection(s.targets))


def _reads_itself(declaration: Declaration, statement: MatchStatement) -> bool:
    return id(statement) in _reached(declaration, _sources(declaration, statement))


def _parameters(declaration: OpDecl) -> Findings:
    read = {name for statement in declaration.match for name in reads(statement.call)}
    for parameter in declaration.parameters:
        if parameter.name not in read:
            message = f"the match does not read the parameter {parameter.name!r}"
            yield misspelt(message, parameter.name, read, parameter.span)


def _fusion(fusion: FusionDecl, scope: Scope) -> Findings:
    seen: set[str] = set()
    for operand in fusion.int8:
        for name in operand.names:
            yield from _value(name, scope, operand.span, "int8")
            if name in seen:
                yield PatternError(f"{name!r} stands in the int8 block twice", span=operand.span)
            seen.add(name)
            if operand.output and scope.kinds.get(name) == "operand":
                message = f"{name!r} is read by the fusion, it is no output"
                yield PatternError(message, span=operand.span)
    for pairing in fusion.pairings:
        yield from _value(pairing.operand, scope, pairing.span, "int8")
    if fusion.sparse is not None:
        yield from _value(fusion.sparse, scope, fusion.span, "sparse")
        if scope.kinds.get(fusion.sparse) == "result":
            message = f"sparse: {fusion.sparse!r} is the result of an operator, not a weight"
            yield PatternError(message, span=fusion.span)


def _value(name: str, scope: Scope, span: Span | None, block: str) -> Findings:
    """A name in a block must be a value, or several, that the match binds."""
    kind = scope.kinds.get(name)
    if kind is None:
        yield misspelt(f"{block}: the match binds no {name!r}", name, scope.kinds, span)
    elif kind in NUMBERS:
        message = f"{block}: {name!r} is {KIND_NAMES[kind]}, not a value"
        yield PatternError(message, span=span)
