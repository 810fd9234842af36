"""Rewrites: they replace the root, and build operators that exist out of names that are bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparqc.declared.natives import Native
from sparqc.errors import PatternError, Span, did_you_mean
from sparqc.ir.vocabulary.operator import REQUIRED, Operator
from sparqc.lang.ast import (
    BuildCall,
    Expr,
    ListExpr,
    Literal,
    Name,
    NativeCall,
    RewriteStatement,
    RuleDecl,
)
from sparqc.lang.check.expressions import check_expression
from sparqc.lang.check.findings import Findings, PatternWarning
from sparqc.lang.check.operators import (
    most_outputs,
    other_kind,
    required_operands,
    surplus_operands,
    unknown,
)
from sparqc.lang.check.scope import IGNORED, VALUES, Scope, calls_of, roots_of
from sparqc.lang.check.vocabulary import Vocabulary
from sparqc.lang.fixes import misspelt
from sparqc.lang.walk import walk


def check_rewrite(
    rule: RuleDecl, scope: Scope, vocabulary: Vocabulary, natives: Mapping[str, Native]
) -> Findings:
    """What is wrong with the rewrite of a rule."""
    yield from _targets(rule, scope)
    kept = list(_replaced(rule, scope))
    yield from kept or _unused(rule, scope)
    local: set[str] = set()
    built: set[str] = set()  # the local names of operators' results
    for statement in rule.rewrite:
        for part in _expressions(statement.expr):
            yield from check_expression(part, scope, vocabulary, natives, local)
        for call in walk(statement.expr, BuildCall):
            yield from _call(call, rule, scope, vocabulary)
            yield from _like(call, scope, built)
            yield from _rest(call, scope, local)
        yield from _results(statement, vocabulary)
        yield from _each(statement, rule)
        local |= set(statement.targets)
        built |= set(statement.targets if isinstance(statement.expr, BuildCall) else ())


def _expressions(built: BuildCall | Expr) -> Iterator[Expr]:
    """The expressions in what a statement builds, outside of and inside of calls."""
    if not isinstance(built, BuildCall):
        yield built
        return
    for operand in built.operands:
        yield from _expressions(operand)
    for _, value in built.attributes:
        yield value


# -- what is assigned ----------------------------------------------------------------------------


def _targets(rule: RuleDecl, scope: Scope) -> Findings:
    seen: set[str] = set()
    for statement in rule.rewrite:
        for target in statement.targets:
            kind = scope.kinds.get(target)
            if target in seen:
                yield PatternError(f"{target!r} is assigned twice", span=statement.span)
            if kind is not None and kind not in VALUES:
                message = f"{target!r} is no value that could be replaced"
                yield PatternError(message, span=statement.span, hint="take another name")
            if statement.expr == Name(target):
                yield PatternError(f"{target!r} is replaced by itself", span=statement.span)
            if target != IGNORED:
                seen.add(target)


def _replaced(rule: RuleDecl, scope: Scope) -> Findings:
    """The root must be replaced, or the same match would be found again."""
    assigned = {target for statement in rule.rewrite for target in statement.targets}
    roots = roots_of(rule)
    if len(roots) != 1:
        return
    kept = [t for t in roots[0].targets if t not in assigned and t != IGNORED]
    if not assigned & set(scope.kinds):
        message = "the rewrite replaces nothing: it assigns no name that the match binds"
        hint = f"replace the root: {roots[0].targets[0]} = …"
        yield PatternError(message, span=rule.rewrite[-1].span, hint=hint)
    elif kept:
        names = " and ".join(map(repr, kept))
        message = f"the rewrite leaves the root {names} as it is, so the rule would match again"
        yield PatternError(message, span=rule.rewrite[-1].span, hint=f"{kept[0]} = …")


def _unused(rule: RuleDecl, scope: Scope) -> Findings:
    """A local name that nothing reads; one of several results may be left alone."""
    read = _read(rule)
    for statement in rule.rewrite:
        local = [t for t in statement.targets if t not in scope and t != IGNORED]
        if local == list(statement.targets) and not read.intersection(local):
            names = " and ".join(map(repr, local))
            hint = did_you_mean(local[0], [n for n, k in scope.kinds.items() if k == "result"])
            yield PatternWarning(f"nothing reads {names}", span=statement.span, hint=hint)


def _read(rule: RuleDecl, after: RewriteStatement | None = None) -> set[str]:
    """The names that the rewrite reads, or those that it reads in the lines behind one."""
    lines = rule.rewrite[rule.rewrite.index(after) + 1 :] if after is not None else rule.rewrite
    names = {n.id for s in lines for n in walk(s.expr, Name)}
    return names | {c.rest for s in lines for c in walk(s.expr, BuildCall) if c.rest}


def _results(statement: RewriteStatement, vocabulary: Vocabulary) -> Findings:
    given, expr = len(statement.targets), statement.expr
    if given == 1 or isinstance(expr, NativeCall):
        return
    if not isinstance(expr, BuildCall):
        message = f"{given} names need an operator or a function with {given} results"
        yield PatternError(message, span=statement.span)
        return
    operator = vocabulary.operator(expr.op)
    most = most_outputs(operator) if operator else None
    if most is not None and given > most:
        results = "1 result" if most == 1 else f"{most} results"
        yield PatternError(f"{expr.op} has {results}, not {given}", span=statement.span)


def _each(statement: RewriteStatement, rule: RuleDecl) -> Findings:
    """What each reader has of its own is an operator, in the place of the root."""
    if not statement.each:
        return
    if not isinstance(statement.expr, BuildCall) or statement.expr.maybe:
        message = "only an operator can be built for each reader"
        yield PatternError(message, span=statement.span, hint="y = nn.relu(x) for each reader")
    roots, name = roots_of(rule), statement.targets[0]
    if len(roots) == 1 and statement.targets != roots[0].targets:
        root = " and ".join(map(repr, roots[0].targets))
        message = f"the readers of the root {root} can have one each, not those of {name!r}"
        yield PatternError(message, span=statement.span)
    elif len(statement.targets) > 1:
        message = "an operator with several results cannot be built for each reader"
        yield PatternError(message, span=statement.span)
    elif name in _read(rule, after=statement):
        message = f"{name!r} is several values, one for each reader: which of them?"
        yield PatternError(message, span=statement.span, hint="build it in the last line")


# -- what is built -------------------------------------------------------------------------------


def _call(call: BuildCall, rule: RuleDecl, scope: Scope, vocabulary: Vocabulary) -> Findings:
    yield from unknown(call.op, call.span, vocabulary)
    if call.maybe:
        yield from _maybe(call, rule, vocabulary)
    elif vocabulary.family(call.op):
        yield from _family(call, rule)
    operator = vocabulary.operator(call.op)
    if operator is not None:
        yield from _operands(call, operator)
        yield from _attributes(call, operator, vocabulary)
        yield from _levels(call, rule, operator)


def _like(call: BuildCall, scope: Scope, built: set[str]) -> Findings:
    results = {n for n, kind in scope.kinds.items() if kind == "result"} | built
    if call.like is None or call.like in results:
        return
    message = f"`like {call.like}`: {call.like!r} is not the result of an operator"
    yield misspelt(message, call.like, results, call.span)


def _rest(call: BuildCall, scope: Scope, local: set[str]) -> Findings:
    lists = {n for n, kind in scope.kinds.items() if kind == "operands"} | local
    if call.rest is not None and call.rest not in lists:
        message = f"the match binds no list of operands '*{call.rest}'"
        yield misspelt(message, call.rest, lists, call.span)


def _maybe(call: BuildCall, rule: RuleDecl, vocabulary: Vocabulary) -> Findings:
    maybes = {head for c in calls_of(rule) if c.maybe for head in c.heads}
    if call.op not in maybes:
        message = f"the match has no `maybe {call.op}` that this could follow"
        yield misspelt(message, call.op, maybes, call.span)
    if not call.operands or _is_plain(call.operands[0]):
        message = f"`maybe {call.op}` has no first operand that could stand for it"
        yield PatternError(message, span=call.span)
    if vocabulary.family(call.op):
        yield from _as_matched(call)


def _family(call: BuildCall, rule: RuleDecl) -> Findings:
    """A family is built as the match found it: there must be one such call, and no other."""
    matched = [c for c in calls_of(rule) if call.op in c.heads and not c.maybe]
    if len(matched) != 1:
        message = f"{call.op} is a family: which of it?"
        hint = f"the match has {len(matched)} calls of it: name one operator, or match it once"
        yield PatternError(message, span=call.span, hint=hint)
    yield from _as_matched(call)


def _as_matched(call: BuildCall) -> Findings:
    if call.attributes:
        message = f"{call.op} is built as it was matched, so it takes no attributes"
        yield PatternError(message, span=call.span)


def _is_plain(operand: Expr | BuildCall) -> bool:
    return isinstance(operand, Literal | ListExpr)


def _operands(call: BuildCall, operator: Operator) -> Findings:
    yield from surplus_operands(call.op, call, operator)
    required, given = required_operands(operator), len(call.operands)
    if given < len(required) and call.rest is None:
        missing = ", ".join(required[given:])
        yield PatternError(f"{call.op} lacks its operand {missing}", span=call.span)


def _attributes(call: BuildCall, operator: Operator, vocabulary: Vocabulary) -> Findings:
    given = [name for name, _ in call.attributes]
    for name, value in call.attributes:
        if name not in operator.attributes:
            message, none = f"{call.op} has no attribute {name!r}", f"{call.op} has no attributes"
            error = misspelt(message, name, operator.attributes, call.span, none)
            error.span = _place(value, call)
            yield error
        literal: object = value.items if isinstance(value, ListExpr) else None
        literal = value.value if isinstance(value, Literal) else literal
        if said := other_kind(call.op, name, literal, vocabulary):
            yield PatternError(said[0], span=_place(value, call), hint=said[1])
    missing = [n for n, d in operator.attributes.items() if d is REQUIRED and n not in given]
    if missing and call.like is None and not call.maybe:  # both carry attributes over
        message = f"{call.op} needs the attribute {', '.join(missing)}"
        hint = f"{call.op}(…, {missing[0]}=…), or `like` a matched {call.op}"
        yield PatternError(message, span=call.span, hint=hint)


def _place(value: Expr, call: BuildCall) -> Span | None:
    return value.span or call.span


def _levels(call: BuildCall, rule: RuleDecl, operator: Operator) -> Findings:
    """An operator that is built must exist where the rule runs; raw ones have no forms."""
    has_forms = operator.fx is not None or operator.onnx is not None
    for level in rule.levels:
        if has_forms and not call.maybe and operator.form(level) is None:
            message = f"{call.op} does not exist on {level}, where the rule runs too"
            yield PatternError(message, span=call.span, hint="restrict the rule with `on`")
