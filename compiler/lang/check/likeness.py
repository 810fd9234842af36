"""Fusions that are `like` another one: they have its int8, sparse and pays blocks too, and without
a match of their own its match; and shares that have the scale line of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from sparqc.errors import PatternError
from sparqc.lang.ast import Declaration, FusionDecl, ShareDecl
from sparqc.lang.fixes import misspelt

Like = TypeVar("Like", bound=FusionDecl | ShareDecl)
_KINDS: dict[type[Declaration], str] = {FusionDecl: "fusion", ShareDecl: "share"}


def resolve_like(declaration: Like, declarations: Mapping[str, Declaration]) -> Like:
    """A fusion or share with the lines of those that it is like.

    Raises PatternError where one of them is none, or they are like each other in a circle.
    """
    kind = type(declaration)
    chain: list[Any] = [declaration]  # all of one kind
    known = {declaration.name}
    while (name := chain[-1].like) is not None:
        base = declarations.get(name)
        if not isinstance(base, kind):
            alike = [n for n, d in declarations.items() if isinstance(d, kind)]
            message = f"like: there is no {_KINDS[kind]} {name!r}"
            raise misspelt(message, name, alike, declaration.span)
        if name in known:
            raise PatternError(f"{name} is like itself", span=declaration.span)
        chain.append(base)
        known.add(name)
    whole: Like = chain.pop()
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
