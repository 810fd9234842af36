"""Whether a rule can match what it has just written, and so go on for ever."""

from __future__ import annotations

from sparqc.lang.ast import (
    AttributePattern,
    Bind,
    BuildCall,
    CallPattern,
    Expr,
    Literal,
    Name,
    Number,
    RuleDecl,
)
from sparqc.lang.check.findings import Findings, PatternWarning
from sparqc.lang.check.scope import roots_of
from sparqc.lang.check.vocabulary import Vocabulary
from sparqc.lang.walk import walk

_Operand = Bind | Number | CallPattern
_Built = BuildCall | Expr


def check_termination(rule: RuleDecl, vocabulary: Vocabulary) -> Findings:
    """A warning for a rule that may match its own output and says not why that comes to an end."""
    if rule.decreases is not None or len(roots_of(rule)) != 1 or _shrinks(rule):
        return
    rewritten = _Rewritten(rule, vocabulary)
    root = roots_of(rule)[0].call
    for call in rewritten.calls():
        if rewritten.may_match(root, call):
            message = f"{rule.name} may match what it builds, and go on for ever"
            hint = "name the measure that it lowers: decreases …, or build fewer operators"
            yield PatternWarning(message, span=call.span or rule.span, hint=hint)
            return


def _shrinks(rule: RuleDecl) -> bool:
    """Whether fewer operators are built than surely die.

    A `maybe` is built only where one was taken, so those cancel out; and what is built for each
    reader has one reader, where the rule has nothing to do.
    """
    built = [c for s in rule.rewrite if not s.each for c in walk(s.expr, BuildCall) if not c.maybe]
    return len(built) < sum(_dies(rule))


def _dies(rule: RuleDecl) -> list[bool]:
    """For each call of the match that is surely there: whether the rewrite leaves it unread."""
    kept = kept_results(rule)
    fates = []
    for statement in rule.match:
        alive = statement.shared or bool(kept.intersection(statement.targets))
        fates += [not alive for call in walk(statement.call, CallPattern) if not call.maybe]
    return fates


def kept_results(rule: RuleDecl) -> set[str]:
    """The results that the rewrite goes on reading, and what these read."""
    statements = {t: s for s in rule.match for t in s.targets}
    assigned = {t for s in rule.rewrite for t in s.targets}
    stack = [n for s in rule.rewrite for built in [s.expr] for n in _operand_names(built)]
    kept: set[str] = set()
    while stack:
        name = stack.pop()
        if name in statements and name not in kept and name not in assigned:
            kept.add(name)
            stack += [b.name for b in walk(statements[name].call, Bind)]
    return kept


def _operand_names(built: _Built) -> list[str]:
    """The names that stay values of the graph: operands, not the arguments of natives."""
    if isinstance(built, Name):
        return [built.id]
    if isinstance(built, BuildCall):
        return [name for operand in built.operands for name in _operand_names(operand)]
    return []


class _Rewritten:
    """What a rule builds, with its local names resolved."""

    def __init__(self, rule: RuleDecl, vocabulary: Vocabulary) -> None:
        self.rule, self.vocabulary = rule, vocabulary
        self.local = {s.targets[0]: s.expr for s in rule.rewrite if len(s.targets) == 1}
        self.statements = {t: s.call for s in rule.match for t in s.targets}

    def calls(self) -> list[BuildCall]:
        return [c for s in self.rule.rewrite if not s.each for c in walk(s.expr, BuildCall)]

    def may_match(self, pattern: CallPattern, built: BuildCall) -> bool:
        """Whether a call of the match may fit a call of the rewrite."""
        if pattern.maybe and pattern.operands and self.fits(pattern.operands[0], built):
            return True
        if not self._names(pattern, built):
            return False
        if not all(self._attribute(a, built) for a in pattern.attributes):
            return False
        return any(self._operands(pattern, o, built) for o in self._orders(built))

    def _names(self, pattern: CallPattern, built: BuildCall) -> bool:
        heads = (*pattern.heads, built.op)
        families = any(self.vocabulary.family(head) for head in heads)
        return families or built.op in pattern.heads

    def _attribute(self, pattern: AttributePattern, built: BuildCall) -> bool:
        value = dict(built.attributes).get(pattern.name)
        clash = isinstance(value, Literal) and pattern.bind is None
        return not clash or (isinstance(value, Literal) and value.value == pattern.literal)

    def _orders(self, built: BuildCall) -> list[tuple[_Built, ...]]:
        operator = self.vocabulary.operator(built.op)
        swap = operator is not None and operator.commutes and len(built.operands) == 2
        return [built.operands, built.operands[::-1]] if swap else [built.operands]

    def _operands(
        self, pattern: CallPattern, operands: tuple[_Built, ...], built: BuildCall
    ) -> bool:
        wanted = pattern.operands
        if len(operands) > len(wanted) and not (pattern.open or pattern.rest):
            return False
        missing = wanted[len(operands) :] if built.rest is None else ()
        if any(not (isinstance(o, Bind) and o.optional) for o in missing):
            return False
        return all(self.fits(a, b) for a, b in zip(wanted, operands, strict=False))

    def fits(self, pattern: _Operand, built: _Built) -> bool:
        """Whether an operand of the match may fit what the rewrite puts there."""
        if isinstance(built, Name) and built.id in self.local and built.id not in self.statements:
            return self.fits(pattern, self.local[built.id])
        if isinstance(pattern, Number):
            return isinstance(built, Literal) and built.value == pattern.value
        if isinstance(pattern, Bind):
            return self._bind(pattern, built)
        return isinstance(built, BuildCall) and self.may_match(pattern, built)

    def _bind(self, pattern: Bind, built: _Built) -> bool:
        inner = self.statements.get(pattern.name)
        if inner is not None:
            return isinstance(built, BuildCall) and self.may_match(inner, built)
        absent = isinstance(built, Literal) and built.value is None
        if absent:
            return pattern.optional
        const = pattern.constraint is not None and pattern.constraint.const
        return not (const and isinstance(built, BuildCall))
