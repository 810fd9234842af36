"""`sparqc rules`: list and show what pattern files say, check and format files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from sparqc.errors import NO, UsageError
from sparqc.report.show import show
from sparqc.tools.rules.examples.command import test_command
from sparqc.tools.rules.infer.command import infer_command
from sparqc.tools.rules.static import KINDS, kind_of, read_checked
from sparqc.tools.rules.try_command import try_command
from sparqc.tools.terminal import completion
from sparqc.tools.terminal.console import stdout_console
from sparqc.tools.terminal.options import import_option, patterns_option
from sparqc.tools.terminal.text_file import write_text

if TYPE_CHECKING:
    from sparqc.lang.ast import Declaration, PatternFile
    from sparqc.match.rulebook import RuleBook

_patterns = patterns_option("A pattern file of your own, beside the installed ones.")
_files = click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…"
)


@click.group("rules")
def rules_group() -> None:
    """List, show, check, test and format the rules of pattern files."""


rules_group.add_command(test_command)
rules_group.add_command(try_command)
rules_group.add_command(infer_command)


@rules_group.command("list")
@click.option("--kind", type=click.Choice(KINDS), help="Only declarations of this kind.")
@click.option(
    "--target", help="Only what holds for this target.", shell_complete=completion.targets
)
@_patterns
@import_option
def list_command(kind: str | None, target: str | None, patterns: tuple[Path, ...]) -> None:
    """List every declaration: rules, fusions, shares, checks and spellings (op)."""
    table = Table(box=None, pad_edge=False)
    for title in ("name", "kind", "on", "what it says"):
        table.add_column(title, no_wrap=title != "what it says")
    for declaration in _selected(_declarations(patterns), kind, target):
        table.add_row(
            declaration.name,
            kind_of(declaration),
            ", ".join(declaration.levels),
            declaration.doc.partition(". ")[0].removesuffix("."),
        )
    show(stdout_console(), table)


@rules_group.command("show")
@click.argument("name", shell_complete=completion.declarations)
@_patterns
@import_option
def show_command(name: str, patterns: tuple[Path, ...]) -> None:
    """Show the text of the declaration NAME, and where it stands."""
    from sparqc.lang.format.formatter import format_declaration

    book = _book(patterns)
    found: tuple[Declaration, ...] = book.spellings(name)
    if not found:
        _refuse_word(name)
        found = (book.find(name),)
    texts = [f"# {d.span}\n{format_declaration(d)}" for d in found]
    click.echo("\n\n".join(texts))


def _refuse_word(name: str) -> None:
    """UsageError where the name is one of an operator or of a native, with what shows those."""
    from sparqc.declared.natives import natives
    from sparqc.ir.vocabulary.table import default_table

    if default_table().get(name) is not None:
        what, command = f"{name} is an operator", f"sparqc ops {name}"
    elif name.startswith("@") and name[1:] in natives():
        what, command = f"{name} is a function in Python", f"sparqc natives {name[1:]}"
    else:
        return
    raise UsageError(f"{what}, not a declaration", hint=f"it is shown by: {command}")


@rules_group.command("knobs")
def knobs_command() -> None:
    """List the knobs: where the rules leave a choice, and how --knob NAME=VALUE makes it."""
    from sparqc.declared.knobs import knobs

    table = Table(box=None, pad_edge=False)
    for title in ("knob", "values", "default", "what it says", "source"):
        table.add_column(title, no_wrap=title in ("knob", "default"))
    for knob in knobs().values():
        words = ", ".join(knob.values) or "a number"
        table.add_row(knob.name, words, knob.default, knob.doc, knob.source)
    show(stdout_console(), table)


@rules_group.command("check")
@_files
@import_option
def check_command(files: tuple[Path, ...]) -> None:
    """Check pattern files: the grammar, every name, and what can never fire.

    `sparqc rules test` does the same and runs the examples too.
    """
    worst = 0
    for path in files:
        file, found = read_checked(path)
        worst = max(worst, found)
        if file and not found:
            click.echo(f"{path}: {_summary(path, file)}")
    if worst:
        raise click.exceptions.Exit(worst)


def _summary(path: Path, file: PatternFile) -> str:
    """`3 rules, 1 op, 2 examples, run by: sparqc rules test mine.spq`."""
    declarations = file.declarations
    kinds = [kind_of(d) for d in declarations]
    counts = {kind: kinds.count(kind) for kind in KINDS}
    counts["example"] = sum(len(d.examples) for d in declarations)
    text = ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in counts.items() if n)
    return f"{text}, run by: sparqc rules test {path}" if counts["example"] else text


@rules_group.command("docs")
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER")
def docs_command(folder: Path) -> None:
    """Write a page for each check into FOLDER, and a README that lists them and their rules."""
    from sparqc.tools.check.pages import write_pages

    click.echo(f"{len(write_pages(folder))} pages in {folder}")


@rules_group.command("fmt")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 where a file would change.")
@_files
def fmt_command(check: bool, files: tuple[Path, ...]) -> None:
    """Write pattern files in their canonical form."""
    changed = [path for path in files if _format(path, write=not check)]
    for path in changed:
        click.echo(f"{path}: {'would be formatted' if check else 'formatted'}", err=True)
    if check and changed:
        raise click.exceptions.Exit(NO)


def _format(path: Path, write: bool) -> bool:
    """Whether the canonical form differs from the file."""
    from sparqc.lang.format.formatter import format_file
    from sparqc.lang.parse.parser import parse_file

    file = parse_file(path)
    text = format_file(file)
    if text == file.text:
        return False
    if write:
        write_text(path, text)
    return True


def _book(patterns: Sequence[Path]) -> RuleBook:
    from sparqc.pipeline.library import read_user_file, rulebook

    return rulebook([read_user_file(path) for path in patterns])


def _declarations(patterns: Sequence[Path]) -> Iterable[Declaration]:
    """What stands in the installed files, and what a person adds, in the order of the names."""
    from sparqc.pipeline.installed import installed

    if patterns:
        return _book(patterns).declarations
    return sorted((d for file in installed() for d in file.declarations), key=lambda d: d.name)


def _selected(
    declarations: Iterable[Declaration], kind: str | None, target: str | None
) -> Iterable[Declaration]:
    from sparqc.declared.targets import profile

    if target:
        profile(target)  # an unknown one is an error, not an empty list
    return (d for d in declarations if kind in (None, kind_of(d)) and d.is_for(None, target))
