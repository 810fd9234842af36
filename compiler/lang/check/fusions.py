"""What a fusion says of other fusions: that it is like one, runs with one, or takes some in."""

from __future__ import annotations

from collections.abc import Mapping

from sparqc.errors import PatternError, Span, did_you_mean
from sparqc.lang.ast import Declaration, Expr, FusionDecl, Name, ShareDecl, Template
from sparqc.lang.check.findings import Findings
from sparqc.lang.check.likeness import resolve_like
from sparqc.lang.check.scope import scope_of
from sparqc.lang.fixes import misspelt
from sparqc.lang.parse.keywords import KNOB, PAYS
from sparqc.lang.walk import walk


def check_fusion(
    fusion: FusionDecl, fusions: Mapping[str, FusionDecl], shares: Mapping[str, ShareDecl]
) -> Findings:
    """What is wrong with the fusions, and the shares, that one names."""
    for pairing in fusion.pairings:
        yield from _exists(pairing.fusion, fusions, pairing.span)
    for name in fusion.joins:
        yield from _exists(name, fusions, fusion.span)
    for name in fusion.replaces:
        yield from _exists(name, {**fusions, **shares}, fusion.span)
    if fusion.like is not None:
        yield from _like(fusion, {**fusions, fusion.name: fusion})


def _exists(name: str, fusions: Mapping[str, Declaration], span: Span | None) -> Findings:
    if name not in fusions:
        yield misspelt(f"there is no fusion {name!r}", name, fusions, span)


def _like(fusion: FusionDecl, fusions: Mapping[str, FusionDecl]) -> Findings:
    """The names that the other fusion's lines ask for are bound here as well."""
    try:
        whole = resolve_like(fusion, fusions)
    except PatternError as error:
        yield error
        return
    known = {KNOB, *PAYS, *scope_of(whole).kinds}
    for name in sorted(_asked(whole) - _asked(fusion) - known):
        message = f"{fusion.name} is like {fusion.like}, but its match binds no {name!r}"
        yield PatternError(message, span=fusion.span, hint=did_you_mean(name, known))


def _asked(fusion: FusionDecl) -> set[str]:
    """The names in the int8, sparse and pays blocks."""
    conditions = (*fusion.int8_where, *fusion.sparse_where, *fusion.pays)
    expressions: list[Expr | Template] = [c.expr for c in conditions]
    operands = (*fusion.int8, *fusion.sparse_outputs)
    expressions += [reason for reason in fusion.reasons if reason is not None]
    names = {n.id for e in expressions for n in walk(e, Name)}
    names |= {n for q in operands for n in q.names} | {p.operand for p in fusion.pairings}
    return names | ({fusion.sparse} if fusion.sparse else set())
