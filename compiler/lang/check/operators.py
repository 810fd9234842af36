"""The calls of a match block: operators exist and take what the pattern gives them."""

from __future__ import annotations

from collections.abc import Sequence

from sparqc.errors import PatternError, Span
from sparqc.ir.vocabulary.operator import Operator
from sparqc.lang.ast import (
    ANY_OPERATOR,
    BACK,
    FRONT,
    Bind,
    BuildCall,
    CallPattern,
    Declaration,
    MatchStatement,
    Number,
    OpDecl,
    Path,
)
from sparqc.lang.check.findings import Findings
from sparqc.lang.check.scope import Scope, calls_of, paths_of, roots_of
from sparqc.lang.check.vocabulary import Vocabulary
from sparqc.lang.fixes import instead, misspelt, word_in
from sparqc.lang.format.printer import format_scalar


def check_operators(declaration: Declaration, scope: Scope, vocabulary: Vocabulary) -> Findings:
    """What is wrong with the calls of one declaration."""
    for call in calls_of(declaration):
        for head in call.heads:
            yield from unknown(head, call.span, vocabulary)
            yield from _operands(head, call, vocabulary)
            yield from _attributes(head, call, vocabulary)
        if call.maybe:
            yield from _maybe(call, vocabulary)
    for path in paths_of(declaration):
        for kind in {*path.kinds, *path.through} - {*path.ends, ANY_OPERATOR}:
            yield from _path_kind(kind, path, vocabulary)
    for statement in declaration.match:
        yield from _outputs(statement, vocabulary)
    roots = roots_of(declaration)
    if len(roots) == 1 and not isinstance(declaration, OpDecl):
        yield from _empty_root(roots[0], scope)


def unknown(name: str, span: Span | None, vocabulary: Vocabulary) -> Findings:
    """The finding that no operator and no family has a name."""
    if not vocabulary.knows(name):
        place, hint = word_in(span, name), vocabulary.suggestion(name)
        fixes = instead(name, place, vocabulary.meant_by(name))
        yield PatternError(f"unknown operator {name!r}", span=place, hint=hint, fixes=fixes)


def _path_kind(kind: str, path: Path, vocabulary: Vocabulary) -> Findings:
    """An operator that a path names and nobody knows; perhaps the end at the other side."""
    if kind in (*FRONT, *BACK) and not vocabulary.knows(kind):
        way, wanted = ("in front of", "input") if path.comes_from else ("behind", "output")
        message = f"no {kind} of the graph stands {way} a value"
        hint = f"the end on that side is `{wanted}`"
        place = word_in(path.span, kind)
        yield PatternError(message, span=place, hint=hint, fixes=instead(kind, place, [wanted]))
    else:
        yield from unknown(kind, path.span, vocabulary)


def count(number: int, names: Sequence[str]) -> str:
    """`2 operands (a, b)`."""
    listed = f" ({', '.join(names)})" if names else ""
    return f"{number or 'no'} operand{'' if number == 1 else 's'}{listed}"


def required_operands(operator: Operator) -> list[str]:
    """The names of the operands that must be there."""
    return [o.name for o in operator.operands if not o.optional and not o.variadic]


def surplus_operands(name: str, call: CallPattern | BuildCall, operator: Operator) -> Findings:
    """The finding that a call has more operands than its operator takes."""
    most, given = len(operator.operands), len(call.operands)
    if given > most and not any(o.variadic for o in operator.operands):
        takes = count(most, operator.operand_names)
        span = call.operands[most].span or call.span
        yield PatternError(f"{name} takes {takes}, not {given}", span=span)


def _operands(head: str, call: CallPattern, vocabulary: Vocabulary) -> Findings:
    operator = vocabulary.operator(head)
    if operator is None:
        yield from _family_operands(head, call, vocabulary)
        return
    yield from surplus_operands(head, call, operator)
    required = required_operands(operator)
    if len(call.operands) < len(required) and not call.open and call.rest is None:
        message = f"{head} always has {count(len(required), required)}, so this matches nothing"
        hint = "name them, or end the operands in `...`"
        yield PatternError(message, span=call.span, hint=hint)


def _family_operands(head: str, call: CallPattern, vocabulary: Vocabulary) -> Findings:
    family = vocabulary.family(head)
    given = len(call.operands)
    if not family or any(_fits(f, call) for f in family):
        return
    names = [p.name for p in family[0].parameters]
    message = f"{head} has {count(len(names), names)}, not {given}"
    yield PatternError(message, span=call.span)


def _fits(spelling: OpDecl, call: CallPattern) -> bool:
    """Whether a call names the parameters of a spelling, the optional ones at will."""
    required = sum(not p.optional for p in spelling.parameters)
    given = len(call.operands)
    if given > len(spelling.parameters):
        return spelling.open
    return given >= required or call.open or call.rest is not None


def _attributes(head: str, call: CallPattern, vocabulary: Vocabulary) -> Findings:
    known = vocabulary.attributes(head)
    for attribute in call.attributes:
        if known is not None and attribute.name not in known:
            message = f"{head} has no attribute {attribute.name!r}"
            none = f"{head} has no attributes"
            yield misspelt(message, attribute.name, known, attribute.span, none)
        elif attribute.bind is None and (
            said := other_kind(head, attribute.name, attribute.literal, vocabulary)
        ):
            message, hint = f"{said[0]}, so this matches nothing", said[1]
            yield PatternError(message, span=attribute.span, hint=hint)


def other_kind(
    head: str, name: str, literal: object, vocabulary: Vocabulary
) -> tuple[str, str] | None:
    """What an attribute is and how it is written, where a literal of another kind stands for it."""
    operator = vocabulary.operator(head)
    default = operator.attributes.get(name) if operator is not None else None
    known = _kind(default)
    if not known or literal is None or _kind(literal) == known:
        return None
    shown = format_scalar(default)  # type: ignore[arg-type]
    return f"{name} of {head} is {known}", f"it reads, by default: {name}={shown}"


def _kind(value: object) -> str:
    if isinstance(value, str):
        return "a word"
    if isinstance(value, tuple | list):
        return "a list"
    return "a number" if isinstance(value, bool | int | float) else ""


def _maybe(call: CallPattern, vocabulary: Vocabulary) -> Findings:
    """Where `maybe op(a, …)` is not taken, `a` stands for the result: it must be able to."""
    first = call.operands[0] if call.operands else None
    head = call.heads[0]
    if first is None:
        message = f"`maybe {head}` names no operand that stands for its result"
        yield PatternError(message, span=call.span, hint=f"maybe {head}(x)")
    elif isinstance(first, Number) or (isinstance(first, Bind) and first.optional):
        message = f"the first operand of `maybe {head}` cannot stand for its result"
        yield PatternError(message, span=first.span, hint="it must be a value that is there")
    for name in call.heads:
        operator = vocabulary.operator(name)
        if operator is not None and not _passes_through(operator):
            hint = "its first operand must be one value, and its result another"
            yield PatternError(f"{name} cannot be a `maybe`", span=call.span, hint=hint)


def _passes_through(operator: Operator) -> bool:
    """Whether an operator has one value first and one value as its result."""
    outputs = operator.outputs
    return (
        bool(operator.operands)
        and not operator.operands[0].variadic
        and not operator.operands[0].optional
        and len(outputs) == 1
        and not outputs[0].endswith("*")
    )


def _outputs(statement: MatchStatement, vocabulary: Vocabulary) -> Findings:
    given = len(statement.targets)
    for head in statement.call.heads:
        operator = vocabulary.operator(head)
        most = most_outputs(operator) if operator else None
        if most is not None and given > most:
            results = "1 result" if most == 1 else f"{most} results"
            yield PatternError(f"{head} has {results}, not {given}", span=statement.span)
    if statement.call.maybe and given > 1:
        message = "a `maybe` has one result: its first operand may stand for it"
        yield PatternError(message, span=statement.span)


def most_outputs(operator: Operator) -> int | None:
    """How many results an operator can have; None: any number."""
    if any(o.endswith("*") for o in operator.outputs):
        return None
    return len(operator.outputs)


def _empty_root(root: MatchStatement, scope: Scope) -> Findings:
    """A root that may be absent, down to a value that no statement defines, matches no operator."""
    call = root.call
    seen: set[int] = set()
    while call.maybe and call.operands and id(call) not in seen:
        seen.add(id(call))
        first = call.operands[0]
        if isinstance(first, CallPattern):
            call = first
        elif isinstance(first, Bind) and first.name in scope.statements:
            call = scope.statements[first.name].call
        else:
            message = f"without its `maybe`, {root.targets[0]!r} is no operator at all"
            hint = "the root must match an operator: drop the `maybe`"
            yield PatternError(message, span=root.span, hint=hint)
            return
