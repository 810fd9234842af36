"""`sparqc rules test`: pattern files held to their own examples, and to generated instances."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparqc.base.text import shortened
from sparqc.errors import NO, UsageError
from sparqc.report.show import show
from sparqc.tools.rules.static import report_findings
from sparqc.tools.terminal.console import stdout_console
from sparqc.tools.terminal.options import import_option

if TYPE_CHECKING:
    from sparqc.lang.ast import PatternFile
    from sparqc.tools.rules.examples.result import ExampleResult

#: So many names stand in the summary of a file.
_NAMED = 6
#: So often a rule has to fire, where nobody says.
INSTANCES = 100
_INSTALL = "pip install 'sparqc[test]'"


@click.command("test")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE…]")
@click.option(
    "--instances",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"How often each rule is to fire on generated graphs; {INSTANCES} without it, and 0 runs "
    "the examples alone.",
)
@click.option("--seed", type=int, default=0, help="Another number generates other graphs.")
@click.option("--rule", "only", metavar="NAME", help="Generate graphs for this rule alone.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
@import_option
def test_command(
    files: tuple[Path, ...], instances: int | None, seed: int, only: str | None, as_json: bool
) -> None:
    """Check pattern files, run their examples, and hold their rules to generated graphs.

    A rule has to make `after` of `before`, and to keep its word (exact, close, lossy) on random
    inputs; what `rejects` an example must be the reason that it names; a check has to find what it
    finds, and nothing in `after`.  Then each rule is applied to graphs that are made from its match
    block, and each of its conditions is left out in turn: something has to go wrong, or a comment
    `# kept: …` says why it stays.  Without FILE: all installed pattern files.  The exit code is 1
    where something does not hold.
    """
    worst, right = 0, []
    for path in files:
        found = report_findings(path)
        worst = max(worst, found)
        right += [] if found else [path]
    from sparqc.lang.parse.parser import parse_file
    from sparqc.pipeline.installed import installed

    # torch tells of a graph that makes no sense by itself; the example's error says so.
    logging.getLogger("torch._subclasses.fake_tensor").disabled = True
    parsed = [parse_file(path) for path in right] if files else [*installed()]
    worst = max([worst, *(_run(file, quiet=as_json) for file in parsed)])
    if instances != 0:
        worst = max(worst, _try(parsed, only, instances, seed, as_json))
    if worst:
        raise click.exceptions.Exit(worst)


def _try(
    files: list[PatternFile], only: str | None, count: int | None, seed: int, as_json: bool
) -> int:
    """Hold the rules of files to generated graphs, and print the table."""
    if importlib.util.find_spec("hypothesis") is None:
        what = "no graphs are generated: that needs Hypothesis, which is not installed"
        if count is not None:
            raise UsageError(what, hint=_INSTALL)
        click.echo(f"{what}\n  {_INSTALL}", err=True)
        return 0
    from sparqc.tools.rules.trials.run import require_rule, run_trials
    from sparqc.tools.rules.trials.table import kept_lines, table_of

    if only is not None:
        require_rule(files, only)
    number = INSTANCES if count is None else count
    outcomes = []
    for outcome in (o for file in files for o in run_trials(file, only, number, seed)):
        outcomes.append(outcome)
        for error in outcome.errors:
            click.echo(f"error: {error}", err=True)
    if as_json:
        click.echo(json.dumps([o.to_json() for o in outcomes], indent=2))
    elif outcomes:
        show(stdout_console(), table_of(outcomes))
        for line in kept_lines(outcomes):
            click.echo(line)
    return NO if any(outcome.errors for outcome in outcomes) else 0


def _run(file: PatternFile, quiet: bool) -> int:
    """Run the examples of a file."""
    from sparqc.tools.rules.examples.result import run_examples

    found: list[ExampleResult] = []
    for result in run_examples(file):
        found.append(result)
        if result.fault:
            click.echo(f"error: {result.error}", err=True)
    if not quiet:
        click.echo(f"{file.path}: {'; '.join(_summary(file, found))}")
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
