"""`sparqc rules infer`: a starting rule from a region of a model's graph."""

from __future__ import annotations

import json
import re

import click

from sparqc.base.text import counted
from sparqc.errors import UsageError
from sparqc.tools.model.request import Request, takes_request
from sparqc.tools.terminal import completion

#: The version of what `--json` prints.
SCHEMA = 1


@click.command("infer")
@takes_request
@click.option(
    "--nodes",
    required=True,
    metavar="A,B,C",
    help="The operators of the region: values, modules, or 'conv_9 (c2.m.a.conv)'.",
)
@click.option("--name", default="mine", metavar="NAME", help="What the rule is called.")
@click.option(
    "--after",
    metavar="PASS",
    shell_complete=completion.passes,
    help="Look at the graph behind this pass, not as it was read.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the rule and its places as JSON.")
def infer_command(
    request: Request, nodes: str, name: str, after: str | None, as_json: bool
) -> None:
    """Print a rule that matches a region of MODEL, to go on from.

    It names every operand and each attribute that is not the default, proposes conditions in
    comments, and rebuilds the operators as they are: write what takes their place, and
    `sparqc rules try FILE MODEL` shows where it matches.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise UsageError(
            f"a rule cannot be called {name!r}", hint="letters, digits and _: --name my_rule"
        )
    words = [word.strip() for word in nodes.split(",") if word.strip()]
    if not words:
        raise UsageError("--nodes names no operator", hint="as in --nodes conv_1,relu_1")
    from sparqc.tools.inspect.stages import graph_after
    from sparqc.tools.rules.infer.places import other_places
    from sparqc.tools.rules.infer.region import find_region
    from sparqc.tools.rules.infer.rule import rule_text

    graph, context = graph_after(request, after)
    region = find_region(graph, words)
    text = rule_text(region, graph, context.table, name)
    others = other_places(text, region, graph, context)
    if as_json:
        told = {
            "schema": SCHEMA,
            "rule": name,
            "level": graph.level,
            "text": text,
            "nodes": [node.output.name for node in region.nodes],
            "other_places": others,
        }
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(text, nl=False)
    if others:
        where = f"{counted(len(others), 'other place')}: {', '.join(others[:4])}"
        note = "the conditions in comments tell places apart"
        click.echo(f"it also matches at {where}; {note}", err=True)
