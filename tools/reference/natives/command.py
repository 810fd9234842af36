"""`sparqc natives`: the Python functions that pattern files call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from sparqc.errors import UsageError, did_you_mean
from sparqc.report.show import show
from sparqc.tools.terminal import completion
from sparqc.tools.terminal.console import stdout_console
from sparqc.tools.terminal.options import import_option
from sparqc.tools.terminal.text_file import write_text

if TYPE_CHECKING:
    from sparqc.tools.reference.natives.entry import NativeEntry

#: The version of the JSON.
SCHEMA = 1


@click.command("natives")
@click.argument("name", required=False, shell_complete=completion.natives)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@click.option(
    "--write", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write a page of sparqc's own natives.",
)  # fmt: skip
@import_option
def natives_command(name: str | None, as_json: bool, file: Path | None) -> None:
    """List the Python functions that pattern files call as @NAME(...), or explain the native NAME.

    What it is given and gives, the file that defines it, and the rules that call it.
    """
    from sparqc.tools.reference.natives.entry import entries
    from sparqc.tools.reference.natives.text import lines, page

    known = entries()
    name = name and name.removeprefix("@")
    if name is not None and name not in known:
        own = "one of your own is known once its file is imported: --import FILE.py"
        hint = "\n  ".join(filter(None, (did_you_mean(name, known), own)))
        raise UsageError(f"there is no native @{name}", hint=hint)
    shown = [known[name]] if name is not None else list(known.values())
    if file is not None:
        write_text(file, page(known))
        click.echo(f"1 page in {file}")
    elif as_json:
        told = {"schema": SCHEMA, "natives": [entry.to_json() for entry in shown]}
        click.echo(json.dumps(told, indent=2))
    elif name is not None:
        click.echo("\n".join(lines(shown[0])))
    else:
        _list(shown)


def _list(entries: list[NativeEntry]) -> None:
    from sparqc.tools.reference.natives.text import first_sentence

    table = Table(box=None, pad_edge=False)
    table.add_column("native", no_wrap=True)
    table.add_column("what it says")
    for entry in entries:
        table.add_row(f"@{entry.native.name}", first_sentence(entry))
    show(stdout_console(), table)
