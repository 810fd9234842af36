"""`sparqc ops`: the operators that pattern files name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from sparqc.report.show import show
from sparqc.tools.reference.folder import write_folder
from sparqc.tools.terminal import completion
from sparqc.tools.terminal.console import stdout_console

if TYPE_CHECKING:
    from sparqc.tools.reference.operators.entry import OperatorEntry

#: The version of the JSON.
SCHEMA = 1


@click.command("ops")
@click.argument("name", required=False, shell_complete=completion.operators)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@click.option(
    "--write", "folder", type=click.Path(path_type=Path), metavar="FOLDER",
    help="Write a page for each family of sparqc's own operators.",
)  # fmt: skip
def ops_command(name: str | None, as_json: bool, folder: Path | None) -> None:
    """List the operators of pattern files, or show what is known of the operator NAME.

    Operands, attributes with their defaults, traits, ATen and ONNX spellings, and a line of a match
    block.  An operator without a row is matched by its raw name: aten.NAME.OVERLOAD, onnx.NAME.
    """
    from sparqc.ir.vocabulary.table import default_table
    from sparqc.tools.reference.operators.entry import entries
    from sparqc.tools.reference.operators.text import lines
    from sparqc.tools.reference.uses import operator_uses

    table = default_table()
    if name is not None:
        _require(name)
    known = entries(table, operator_uses())
    shown = [known[name]] if name is not None else list(known.values())
    if folder is not None:
        from sparqc.tools.reference.operators.pages import pages

        click.echo(f"{len(write_folder(folder, pages(known)))} pages in {folder}")
    elif as_json:
        click.echo(
            json.dumps({"schema": SCHEMA, "operators": [e.to_json() for e in shown]}, indent=2)
        )
    elif name is not None:
        click.echo("\n".join(lines(shown[0])))
    else:
        _list(shown)


def _require(name: str) -> None:
    """UsageError, with what may have been meant, where no operator has the name."""
    from sparqc.errors import UsageError
    from sparqc.ir.vocabulary.table import default_table
    from sparqc.ir.vocabulary.traits import TRAITS
    from sparqc.lang.ast import OpDecl
    from sparqc.lang.check.vocabulary import Vocabulary
    from sparqc.pipeline.installed import installed

    table = default_table()
    if table.get(name) is not None:
        return
    if name in TRAITS:
        hint = f"operators that have it: {', '.join(table.having(name))}"
        raise UsageError(f"{name!r} is a trait, not an operator", hint=hint)
    spellings = [d for file in installed() for d in file.declarations if isinstance(d, OpDecl)]
    vocabulary = Vocabulary(table, spellings)
    if name in vocabulary.spelled:
        raise UsageError(
            f"{name!r} is a family of operators, which pattern files declare",
            hint=f"it is shown by: sparqc rules show {name}",
        )
    if name.startswith(("aten.", "onnx.")):
        raise UsageError(
            f"{name!r} is a raw name, of which the table has no row",
            hint="a pattern may name it so; its operands are those of its schema",
        )
    raise UsageError(f"there is no operator {name!r}", hint=vocabulary.suggestion(name))


def _list(entries: list[OperatorEntry]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("operator", no_wrap=True)
    table.add_column("what it gives")
    for entry in entries:
        table.add_row(entry.signature, entry.row.doc.partition(". ")[0].removesuffix("."))
    show(stdout_console(), table)
