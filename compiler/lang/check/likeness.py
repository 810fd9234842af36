"""Fusions that are `like` another one: they have its int8, sparse and pays blocks too."""

from __future__ import annotations

from collections.abc import Mapping

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
