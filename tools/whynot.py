"""`sparqc whynot`: why a rule did not fire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from sparqc.tools.request import Request, takes_request

if TYPE_CHECKING:
    from sparqc.engine.match import Matcher
    from sparqc.ir.graph import Node
    from sparqc.lang.ast import Declaration
    from sparqc.steps import Step

#: So many nodes with the same reason are named.
NAMED = 5


@click.command("whynot")
@takes_request
@click.argument("rule")
@click.argument("node", required=False)
@click.option(
    "--after",
    metavar="PASS",
    help="Look at the graph behind this pass, not in front of the one that uses the rule.",
)
def whynot_command(request: Request, rule: str, node: str | None, after: str | None) -> None:
    """Say why RULE (or a fusion, share or check) does not match in MODEL.

    NODE is a value or a module; without it, every node at which the rule could match is asked.
    """
    from sparqc.engine.match import Matcher
    from sparqc.library import read_own, rulebook
    from sparqc.tools.find_nodes import find_nodes
    from sparqc.tools.stages import graph_before

    # An unknown rule is said before the model is read, which takes longer.
    decl = rulebook([read_own(path) for path in request.patterns]).find(rule)
    graph, context = graph_before(request, lambda step: _uses(step, decl), after)
    matcher = Matcher(context.rules, context.table, context.target.name)
    roots = matcher.roots(decl)
    if node is not None:
        nodes = find_nodes(graph, node)
    else:
        nodes = [n for n in graph.nodes if n.op in roots]
    click.echo("\n".join(_answers(decl, nodes, matcher, sorted(roots))))


def _uses(step: Step, decl: Declaration) -> bool:
    """Whether a pass is the one that a declaration is for."""
    from sparqc.lang.ast import CheckDecl, FusionDecl, RuleDecl, ShareDecl

    if isinstance(decl, RuleDecl):
        return decl.name in getattr(step.cls, "rules", ())
    if isinstance(decl, CheckDecl):
        return step.name == "check"
    return isinstance(decl, (FusionDecl, ShareDecl)) and step.name == "place"


def _answers(
    decl: Declaration, nodes: Sequence[Node], matcher: Matcher, roots: Sequence[str]
) -> Iterator[str]:
    if not nodes:
        yield f"{decl.name} looks for {' or '.join(roots)}, and the graph has none"
    groups: dict[str, list[str]] = {}
    for node in nodes:
        groups.setdefault(_answer(decl, node, matcher, roots), []).append(_named(node))
    for answer, names in groups.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"{', '.join(names[:NAMED])}{more}:\n  {answer}"


def _answer(decl: Declaration, node: Node, matcher: Matcher, roots: Sequence[str]) -> str:
    if node.op not in roots:
        return f"it is {node.op}; {decl.name} looks for {' or '.join(roots)}"
    miss = matcher.explain(decl, node)
    if miss is None:
        return f"{decl.name} matches here"
    place = f"\n  {miss.span}" if miss.span else ""
    caret = f"\n{miss.span.caret()}" if miss.span else ""
    return f"{miss.reason}{place}{caret}"


def _named(node: Node) -> str:
    module = f" ({node.origin.module})" if node.origin.module else ""
    return f"{node.output.name}{module}"
