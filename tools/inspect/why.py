"""`sparqc why`: where a node of the finished graph comes from."""

from __future__ import annotations

import json

import click

from sparqc.base.reading import damaged
from sparqc.errors import UsageError
from sparqc.tools.model.request import Request, takes_request
from sparqc.tools.runs.folder import RunFolder, is_run, open_run, require_run
from sparqc.tools.terminal import completion


@click.command("why")
@takes_request
@click.argument("value")
@click.option(
    "--after", metavar="PASS", help="Look at the graph behind this pass, not the last.",
    shell_complete=completion.passes,
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Of a run directory: print it as JSON.")
def why_command(request: Request, value: str, after: str | None, as_json: bool) -> None:
    """Say which rules made VALUE, and from which line of MODEL.

    MODEL may be a run directory: then every decision is told that led to VALUE, and no model is
    read; VALUE may be the name of a kernel of TensorRT.

    VALUE is the name of a value or of a module of the graph, a glob over either, or both as
    reports name a layer: 'conv_9 (c2.m.a.conv)'.
    """
    if is_run(request.model):
        _why_in_run(open_run(request.model), value, after, as_json)
        return
    require_run("--json", as_json)
    from sparqc.report.why import why
    from sparqc.tools.inspect.stages import graph_after
    from sparqc.tools.model.words import END

    graph, context = graph_after(request, after or END)
    click.echo(str(why(graph, context, value)))


def _why_in_run(run: RunFolder, value: str, after: str | None, as_json: bool) -> None:
    from sparqc.tools.runs.story import stories, story_text

    with damaged(str(run.path), error=UsageError):
        found = stories(run, value, after)
        stage = next(s for s in run.stages if s.path.name == found["graph"])
        last = stage if after else run.last
        click.echo(json.dumps(found, indent=2) if as_json else story_text(found, stage, last))
