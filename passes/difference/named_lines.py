"""The lines of fusions and shares whose names findings have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sparqc.lang.ast import Declaration, FusionDecl, PatternFile, ShareDecl, Template


def named_lines(
    files: Iterable[PatternFile],
) -> Mapping[str, list[tuple[FusionDecl | ShareDecl, Template]]]:
    """The id of a finding -> the lines that say it, each with its declaration."""
    found: dict[str, list[tuple[FusionDecl | ShareDecl, Template]]] = {}
    for declaration in (d for file in files for d in file.declarations):
        for reason in _reasons(declaration):
            if reason is not None and reason.id:
                assert isinstance(declaration, FusionDecl | ShareDecl)
                found.setdefault(reason.id.replace("_", "-"), []).append((declaration, reason))
    return found


def _reasons(declaration: Declaration) -> tuple[Template | None, ...]:
    if isinstance(declaration, FusionDecl):
        return declaration.reasons
    return (declaration.reason,) if isinstance(declaration, ShareDecl) else ()
