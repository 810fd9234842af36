"""`sparqc inspect`: the graph of a model as text, before the passes or after one of them."""

from __future__ import annotations

import click

from sparqc.tools.model.request import Request, takes_request


@click.command("inspect")
@takes_request
@click.option("--after", metavar="PASS", help="Show the graph behind this pass of the pipeline.")
@click.option("--weights", is_flag=True, help="Write out every constant, whatever its size.")
def inspect_command(request: Request, after: str | None, weights: bool) -> None:
    """Print the graph of MODEL as text: as it was captured, or after a pass."""
    from sparqc.ir.text.print import print_graph
    from sparqc.tools.inspect.stages import graph_after

    graph, context = graph_after(request, after)
    click.echo(print_graph(graph, context.table, weights=weights), nl=False)
