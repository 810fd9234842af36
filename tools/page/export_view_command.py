"""`sparqc export-view`: the graphs of a run for the viewers of others."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sparqc.errors import UsageError

_PATH = click.Path(path_type=Path)


@click.command("export-view")
@click.argument("run", type=_PATH)
@click.option("--model-explorer", is_flag=True, help="As JSON that model-explorer opens.")
@click.option("-o", "--output", type=_PATH, help="The file; by default one in the run directory.")
def export_view_command(run: Path, model_explorer: bool, output: Path | None) -> None:
    """Write the graphs of RUN, a directory that `compile --dump` wrote, for another viewer.

    Netron opens the ONNX file that `compile -o` wrote; the graphs between the passes are text.
    """
    from sparqc.tools.page.model_explorer import graphs_json
    from sparqc.tools.runs.folder import open_run
    from sparqc.tools.terminal.text_file import write_text

    if not model_explorer:
        raise UsageError("export-view: for which viewer?", hint="--model-explorer")
    path = output or run / "model-explorer.json"
    write_text(path, json.dumps(graphs_json(open_run(run).stages)) + "\n")
    click.echo(path)
