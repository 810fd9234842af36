"""Calls that no graph of a level has, and targets that nobody knows."""

from __future__ import annotations

from difflib import get_close_matches

from sparqc.declared.targets import profiles
from sparqc.errors import PatternError, Span
from sparqc.lang.ast import Declaration, OpDecl
from sparqc.lang.check.findings import Findings
from sparqc.lang.check.scope import calls_of, paths_of
from sparqc.lang.check.vocabulary import Vocabulary

#: How much of two names is the same where one is the other, mistyped.
_NEAR = 0.8


def check_levels(declaration: Declaration, vocabulary: Vocabulary) -> Findings:
    """Where a declaration can never match on one of the levels that it is for.

    An operator that a level writes as others, such as a SpaceToDepth in ONNX files of PyTorch
    models, is no operator of its graphs.
    """
    yield from _target(declaration)
    if isinstance(declaration, OpDecl):
        return  # one spelling of several, each for the levels that have it
    for call in calls_of(declaration):
        if not call.maybe:
            yield from _given(call.heads, "matches nothing", call.span, declaration, vocabulary)
    for path in paths_of(declaration):
        if not set(path.ends).intersection(path.kinds):
            yield from _given(path.kinds, "leads nowhere", path.span, declaration, vocabulary)


def _given(
    names: tuple[str, ...],
    fails: str,
    span: Span | None,
    declaration: Declaration,
    vocabulary: Vocabulary,
) -> Findings:
    """The finding, for each level, that its graphs have none of the operators."""
    for level in declaration.levels:
        if not any(vocabulary.is_given(name, level) for name in names):
            others = [other for other in declaration.levels if other != level]
            yield PatternError(
                f"on {level} this {fails}: its graphs never have {' or '.join(names)}",
                span=span,
                hint=f"say `on {', '.join(others)}`" if others else "",
            )


def _target(declaration: Declaration) -> Findings:
    """A target that is nearly one of those that are known; another one may come with a plug-in."""
    name = declaration.target
    if name is None or any(p == name or p.startswith(f"{name}-") for p in profiles()):
        return
    if near := get_close_matches(name, profiles(), 1, _NEAR):
        message = f"there is no target {name!r}, and none whose name begins so"
        hint = f"did you mean {near[0]!r}?"
        yield PatternError(message, span=declaration.span, hint=hint)
