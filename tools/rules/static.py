"""What can be said of a pattern file without a graph."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparqc.errors import SparqcError

if TYPE_CHECKING:
    from sparqc.lang.ast import Declaration, PatternFile

KINDS = ("op", "rule", "fusion", "share", "precision", "check")


def report_findings(path: Path) -> int:
    """Print what is wrong with a file, and what is worth a warning; returns the exit code that the
    worst of it asks for, 0 where the file can be used."""
    return read_checked(path)[1]


def read_checked(path: Path) -> tuple[PatternFile | None, int]:
    """The file, None where its text is wrong, and what `report_findings` makes of it."""
    from sparqc.lang.parse.parser import parse_file

    try:
        file = parse_file(path)
    except SparqcError as error:
        return None, _report([error])
    return file, _report(_findings_in(file))


def _report(findings: Iterable[SparqcError]) -> int:
    worst = 0
    for finding in findings:
        click.echo(str(finding), err=True)
        worst = max(worst, 0 if _is_warning(finding) else finding.exit_code)
    return worst


def _findings_in(file: PatternFile) -> Iterable[SparqcError]:
    from sparqc.declared.natives import natives
    from sparqc.ir.vocabulary.table import default_table
    from sparqc.lang.check.checks import check_file
    from sparqc.pipeline.installed import installed

    others = [known for known in installed() if known.path != file.path]
    return check_file(file, default_table(), natives(), others)


def _is_warning(error: SparqcError) -> bool:
    from sparqc.lang.check.findings import PatternWarning

    return isinstance(error, PatternWarning)


def kind_of(declaration: Declaration) -> str:
    """The word that begins the declaration: "rule", "fusion", …"""
    return type(declaration).__name__.removesuffix("Decl").lower()
