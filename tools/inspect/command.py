"""`sparqc inspect`: the graph of a model as text, before the passes or after one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from sparqc.base.reading import damaged
from sparqc.errors import UsageError
from sparqc.tools.model.request import Request, takes_request
from sparqc.tools.runs.folder import RunFolder, is_run, open_run, require_run
from sparqc.tools.terminal import completion
from sparqc.tools.terminal.text_file import write_text


@click.command("inspect")
@takes_request
@click.option(
    "--after", metavar="PASS", help="Show the graph behind this pass of the pipeline.",
    shell_complete=completion.passes,
)  # fmt: skip
@click.option("--weights", is_flag=True, help="Write out every constant, whatever its size.")
@click.option("--json", "as_json", is_flag=True, help="Of a run directory: print it as JSON.")
@click.option("--time", "times", is_flag=True, help="Of a run directory: seconds as a tree.")
@click.option(
    "--trace", type=click.Path(path_type=Path), metavar="FILE",
    help="Of a run directory: write a trace that Perfetto opens.",
)  # fmt: skip
@click.option("--tui", is_flag=True, help="Of a run directory: look at it in the terminal.")
def inspect_command(
    request: Request,
    after: str | None,
    weights: bool,
    as_json: bool,
    times: bool,
    trace: Path | None,
    tui: bool,
) -> None:
    """Print the graph of MODEL as text: as it was captured, or after a pass.

    MODEL may be a run directory: then print a line for each pass, or the graph behind one of them.
    """
    forms = {
        "--json": as_json, "--time": times, "--trace": trace is not None, "--tui": tui
    }  # fmt: skip
    if is_run(request.model):
        _require_one(forms | {"--after": after is not None, "--weights": weights})
        if weights:
            raise UsageError(
                "--weights: the graphs of a run hold no constants of more than 16 elements",
                hint="sparqc inspect MODEL --after PASS --weights computes them once more",
            )
        _inspect_run(open_run(request.model), after, as_json, times, trace, tui)
        return
    for option, given in forms.items():
        require_run(option, given)
    from sparqc.ir.text.print import print_graph
    from sparqc.tools.inspect.stages import graph_after

    graph, context = graph_after(request, after)
    click.echo(print_graph(graph, context.table, weights=weights), nl=False)


def _require_one(forms: Mapping[str, bool]) -> None:
    """Raises UsageError where a run shall be shown in two ways at once."""
    asked = [option for option, given in forms.items() if given]
    if len(asked) > 1:
        raise UsageError(
            f"{' and '.join(asked)}: a run is shown in one way at a time", hint="give one of them"
        )


def _inspect_run(
    run: RunFolder,
    after: str | None,
    as_json: bool,
    times: bool,
    trace: Path | None,
    tui: bool,
) -> None:
    if tui:
        from sparqc.tools.tui.open import show_run

        show_run(run)
        return
    from sparqc.tools.runs.overview import overview, overview_text
    from sparqc.tools.runs.times import chrome_trace, time_tree

    if after is not None:
        click.echo(run.stage(after).text, nl=False)
        return
    with damaged(str(run.path), error=UsageError):
        if trace is not None:
            write_text(trace, json.dumps(chrome_trace(run)))
        elif times:
            click.echo("\n".join(time_tree(run)))
        elif as_json:
            click.echo(json.dumps(overview(run), indent=2))
        else:
            overview_text(overview(run))
