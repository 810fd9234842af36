"""The traits of operators as families, which pattern files name as they do their own."""

from __future__ import annotations

from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.vocabulary.traits import TRAITS
from sparqc.lang.ast import CallPattern, MatchStatement, OpDecl


def trait_families(table: OperatorTable) -> tuple[OpDecl, ...]:
    """For each trait `op moves(...): y = {…}(...)`, of the operators that have it."""
    calls = {trait: CallPattern(table.having(trait), open=True) for trait in TRAITS}
    return tuple(
        OpDecl(trait, (MatchStatement(("y",), call),), TRAITS[trait], open=True)
        for trait, call in calls.items()
    )
