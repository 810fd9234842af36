"""Names that a match binds and nothing uses: what a rule drops without a word."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

from sparqc.errors import PatternError
from sparqc.lang.ast import BuildCall, CallPattern, Declaration, FusionDecl, Name, OpDecl, RuleDecl
from sparqc.lang.check.findings import Findings, PatternWarning
from sparqc.lang.check.likeness import resolve_like
from sparqc.lang.check.scope import KIND_NAMES, NUMBERS, Scope, reads
from sparqc.lang.check.termination import kept_results
from sparqc.lang.check.vocabulary import Vocabulary
from sparqc.lang.fixes import instead
from sparqc.lang.walk import walk


def check_unused(declaration: Declaration, scope: Scope, vocabulary: Vocabulary) -> Findings:
    """A warning for each name that stands in one place only, where another place is missing.

    An attribute or a size needs no name unless something is asked of it.  Operands do, as they are
    closed; but an operand of a rule goes with its operator, and where the rule never looks at it, a
    bias is easily lost.  A name that begins with `_` says that this is meant.
    """
    if isinstance(declaration, OpDecl):
        return  # its operands are the parameters, and who asks for the op names its attributes
    counts = Counter(binding.name for binding in scope.bindings)
    used = _used(declaration, vocabulary)
    dropped = _dropped(declaration) if isinstance(declaration, RuleDecl) else frozenset()
    for binding in scope.bindings:
        name, kind = binding.name, binding.kind
        if counts[name] > 1 or name in used or name.startswith("_"):
            continue
        if kind in NUMBERS:
            message = f"nothing asks for {name!r}, {KIND_NAMES[kind]}"
            is_size = kind == "dimension"
            hint = "write _ in its place" if is_size else "leave it out"
            fixes = instead(name, binding.span, ["_"]) if is_size else ()
            yield PatternWarning(message, span=binding.span, hint=hint, fixes=fixes)
        elif kind != "result" and name in dropped:
            message = f"the rewrite drops {name!r}, and no condition looks at it"
            hint = f"use it, ask of it what makes that right, or write _{name} if it always is"
            fixes = instead(name, binding.span, [f"_{name}"])
            yield PatternWarning(message, span=binding.span, hint=hint, fixes=fixes)


def _used(declaration: Declaration, vocabulary: Vocabulary) -> set[str]:
    """The names in conditions, sentences and rewrites; of a fusion those of its blocks too."""
    if isinstance(declaration, FusionDecl):
        with suppress(PatternError):  # check_fusion says what is wrong with its `like`
            declaration = resolve_like(declaration, vocabulary.fusions)
    used = {name.id for name in walk(declaration, Name)}
    return used | {call.rest for call in walk(declaration, BuildCall) if call.rest is not None}


def _dropped(rule: RuleDecl) -> frozenset[str]:
    """The operands of those operators that the rewrite leaves unread."""
    kept = kept_results(rule)
    gone = [s for s in rule.match if not s.shared and not kept.intersection(s.targets)]
    rests = (call.rest for s in gone for call in walk(s.call, CallPattern))
    return frozenset(r for s in gone for r in reads(s.call)).union(r for r in rests if r)
