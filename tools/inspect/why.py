"""`sparqc why`: where a node of the finished graph comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from sparqc.tools.model.request import Request, takes_request

if TYPE_CHECKING:
    from sparqc.ir.graph import Node
    from sparqc.match.rulebook import RuleBook
    from sparqc.rewrite.context import Context


@click.command("why")
@takes_request
@click.argument("value")
@click.option("--after", metavar="PASS", help="Look at the graph behind this pass, not the last.")
def why_command(request: Request, value: str, after: str | None) -> None:
    """Say which rules made VALUE, and from which line of MODEL.

    VALUE is the name of a value or of a module of the graph, or a glob over either.
    """
    from sparqc.tools.inspect.find_nodes import find_nodes
    from sparqc.tools.inspect.stages import END, graph_after

    graph, context = graph_after(request, after or END)
    explained: set[str] = set()
    blocks = ["\n".join(_story(node, context, explained)) for node in find_nodes(graph, value)]
    click.echo("\n\n".join(blocks))


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
        yield f"  then {rule}"
        if rule not in explained and (meaning := _meaning(rule, context.rules)):
            yield f"       {meaning}"
        explained.add(rule)
    if not origin.rules:
        yield "  no rule has touched it"


def _meaning(rule: str, book: RuleBook) -> str:
    """What the rule says in one sentence; a pass that is no rule has none here."""
    name = rule.rpartition(" ")[2]
    found = [d for d in book.declarations if d.name == name and d.doc]
    return found[0].doc if found else ""
