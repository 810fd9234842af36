"""Fusions that are `like` another one: they have its int8, sparse and pays blocks too, and without
a match of their own its match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sparqc.errors import PatternError, did_you_mean
from sparqc.lang.ast import Declaration, FusionDecl


def resolve_like(fusion: FusionDecl, declarations: Mapping[str, Declaration]) -> FusionDecl:
    """A fusion with the lines of those that it is like.

    Raises PatternError where one of them is no fusion, or they are like each other in a circle.
    """
    chain, known = [fusion], {fusion.name}
    while (name := chain[-1].like) is not None:
        base = declarations.get(name)
        if not isinstance(base, FusionDecl):
            fusions = [n for n, d in declarations.items() if isinstance(d, FusionDecl)]
            hint = did_you_mean(name, fusions)
            raise PatternError(f"like: there is no fusion {name!r}", span=fusion.span, hint=hint)
        if name in known:
            raise PatternError(f"{name} is like itself", span=fusion.span)
        chain.append(base)
        known.add(name)
    whole = chain.pop()
    while chain:
        whole = chain.pop().resolved(whole)
    return whole


def with_match(fusion: FusionDecl, declarations: Mapping[str, Declaration]) -> FusionDecl:
    """A fusion, with the match of the one that it is a case of where it has none of its own.

    Raises PatternError as `resolve_like`.
    """
    if fusion.match:
        return fusion
    return replace(fusion, match=resolve_like(fusion, declarations).match)
