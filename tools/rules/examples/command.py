"""`sparqc rules test`: pattern files held to their own examples."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparqc.base.text import shortened
from sparqc.errors import NO
from sparqc.tools.rules.static import report_findings
from sparqc.tools.terminal.options import import_option

if TYPE_CHECKING:
    from sparqc.lang.ast import PatternFile
    from sparqc.tools.rules.examples.result import ExampleResult

#: So many names stand in the summary of a file.
_NAMED = 6


@click.command("test")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@import_option
def test_command(files: tuple[Path, ...]) -> None:
    """Check pattern files, and run their examples on each level that they are for.

    A rule has to make `after` of `before`, and to keep its word (exact, close) on random inputs;
    what `rejects` an example must be the reason that it names; a check has to find what it finds,
    and nothing in `after`.  The exit code is 1 where an example does not hold.
    """
    worst = 0
    for path in files:
        worst = max(worst, report_findings(path) or _run(path))
    if worst:
        raise click.exceptions.Exit(worst)


def _run(path: Path) -> int:
    from sparqc.lang.parse.parser import parse_file
    from sparqc.tools.rules.examples.result import run_examples

    # torch tells of a graph that makes no sense by itself; the example's error says so.
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)
    file = parse_file(path)
    found: list[ExampleResult] = []
    for result in run_examples(file):
        found.append(result)
        if result.fault:
            click.echo(f"error: {result.error}", err=True)
    click.echo(f"{path}: {'; '.join(_summary(file, found))}")
    return NO if any(result.fault for result in found) else 0


def _summary(file: PatternFile, found: Sequence[ExampleResult]) -> Iterator[str]:
    count = len({id(o.example) for o in found})
    wrong = len({id(o.example) for o in found if o.fault})
    if not found:
        yield "it has no examples"
    elif wrong:
        yield f"{wrong} of {count} examples {'do' if wrong > 1 else 'does'} not hold"
    else:
        yield f"{count} example{'s hold' if count > 1 else ' holds'}"
    if silent := _never_firing(file):
        yield f"no example shows what becomes of {shortened(silent, _NAMED)}"
    if unmeasured := {o.declaration.name for o in found if o.unmeasured}:
        names = shortened(sorted(unmeasured), _NAMED)
        yield f"no numbers were compared for {names}: an input of the example has no type"


def _never_firing(file: PatternFile) -> list[str]:
    """The rules without an example in which they fire."""
    from sparqc.lang.ast import RuleDecl

    rules = [d for d in file.declarations if isinstance(d, RuleDecl)]
    return [r.name for r in rules if not any(e.after is not None for e in r.examples)]
