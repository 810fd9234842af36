"""`sparqc view`: the page of a run, in the browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from sparqc.tools.runs.folder import open_run


@click.command("view")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--no-open", is_flag=True, help="Print where the page lies, and open nothing.")
def view_command(run: Path, no_open: bool) -> None:
    """Open the page of RUN, a directory that `compile --dump` wrote, in the browser."""
    page = open_run(run).page.absolute()
    if no_open or not webbrowser.open(page.as_uri()):
        click.echo(page)
