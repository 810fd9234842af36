"""`sparqc why`: where a node of the finished graph comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from sparqc.base.reading import damaged
from sparqc.errors import UsageError
from sparqc.tools.model.request import Request, takes_request
from sparqc.tools.runs.folder import RunFolder, is_run, open_run, require_run
from sparqc.tools.terminal import completion

if TYPE_CHECKING:
    from sparqc.ir.graph import Node
    from sparqc.lang.ast import Declaration
    from sparqc.match.rulebook import RuleBook
    from sparqc.rewrite.context import Context


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
    from sparqc.tools.inspect.find_nodes import find_nodes
    from sparqc.tools.inspect.stages import END, graph_after

    graph, context = graph_after(request, after or END)
    explained: set[str] = set()
    blocks = ["\n".join(_story(node, context, explained)) for node in find_nodes(graph, value)]
    click.echo("\n\n".join(blocks))


def _why_in_run(run: RunFolder, value: str, after: str | None, as_json: bool) -> None:
    from sparqc.tools.runs.story import stories, story_text

    with damaged(str(run.path), error=UsageError):
        found = stories(run, value, after)
        stage = next(s for s in run.stages if s.path.name == found["graph"])
        last = stage if after else run.last
        click.echo(json.dumps(found, indent=2) if as_json else story_text(found, stage, last))


def _story(node: Node, context: Context, explained: set[str]) -> Iterator[str]:
    """The lines on one node; what a rule says stands where it is named first."""
    from sparqc.ir.text.print import print_node

    yield print_node(node, context.table, origins=False)
    origin = node.origin
    if origin.source or origin.module:
        where = [f"line {origin.source}"] if origin.source else []
        where += [f"module {origin.module}"] if origin.module else []
        yield f"  from {', '.join(where)}"
    else:
        yield "  from no line of the model"
    for rule in origin.rules:
        found = _declaration(rule, context.rules)
        yield f"  then {_with_line(rule, found)}"
        if rule not in explained and found is not None:
            yield f"       {found.doc}"
        explained.add(rule)
    if not origin.rules:
        yield "  no rule has touched it"


def _declaration(rule: str, book: RuleBook) -> Declaration | None:
    """The rule that says what it does; a pass that is no rule has none."""
    name = rule.rpartition(" ")[2]
    return next((d for d in book.declarations if d.name == name and d.doc), None)


def _with_line(rule: str, found: Declaration | None) -> str:
    """The rule and where it stands: an earlier compile wrote its name alone into the file."""
    if " " in rule or found is None or found.span is None:
        return rule
    return f"{found.span.file}:{found.span.line} {rule}"
