"""`sparqc whynot`: why a rule did not fire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import click

from sparqc.base.text import shortened
from sparqc.tools.model.request import Request, takes_request

if TYPE_CHECKING:
    from sparqc.ir.graph import Graph, Node
    from sparqc.lang.ast import Declaration
    from sparqc.match.cover import Cover
    from sparqc.match.match import Matcher
    from sparqc.pipeline.steps import Step

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

    NODE is a value, a module, or 'conv_9 (c2.m.a.conv)'; without it, every node at which the rule
    could match is asked.
    """
    from sparqc.match.match import Matcher
    from sparqc.pipeline.library import read_user_file, rulebook
    from sparqc.tools.inspect.find_nodes import find_nodes
    from sparqc.tools.inspect.stages import graph_before

    @cache
    def declared() -> Declaration:
        return rulebook([read_user_file(path) for path in request.options.patterns]).find(rule)

    if not request.options.patterns:
        declared()  # an unknown rule is said before the model is read, which takes longer
    # A person's own file may call natives that their model imports.
    graph, context = graph_before(request, lambda step: _uses(step, declared()), after)
    decl = declared()
    matcher = Matcher(context.rules, context.table, context.target.name)
    roots = matcher.roots(decl)
    if node is not None:
        nodes = find_nodes(graph, node)
    else:
        nodes = [n for n in graph.nodes if n.op in roots]
    asked = _Question(decl, matcher, sorted(roots), _cover(graph, decl, matcher))
    click.echo("\n".join(asked.answers(nodes)))


def _uses(step: Step, decl: Declaration) -> bool:
    """Whether a pass is the one that a declaration is for."""
    from sparqc.lang.ast import CheckDecl, FusionDecl, PrecisionDecl, RuleDecl, ShareDecl

    if isinstance(decl, RuleDecl):
        return decl.name in getattr(step.cls, "rules", ())
    if isinstance(decl, CheckDecl):
        return step.name == "check"
    if isinstance(decl, PrecisionDecl):
        return step.name == "half"
    return isinstance(decl, (FusionDecl, ShareDecl)) and step.name == "place"


def _cover(graph: Graph, decl: Declaration, matcher: Matcher) -> Cover | None:
    """For a fusion: which one took each operator, as every operator belongs to one at most."""
    from sparqc.lang.ast import FusionDecl
    from sparqc.match.cover import cover

    if not isinstance(decl, FusionDecl):
        return None
    return cover(graph, matcher, matcher.book.placing(graph.level, matcher.target))


@dataclass(frozen=True)
class _Question:
    """Why a declaration does not match."""

    decl: Declaration
    matcher: Matcher
    roots: Sequence[str]
    cover: Cover | None

    def answers(self, nodes: Sequence[Node]) -> Iterator[str]:
        """The lines; nodes with the same answer share it."""
        from sparqc.ir.layer_names import name_of

        if not nodes:
            yield f"{self.decl.name} looks for {' or '.join(self.roots)}, and the graph has none"
        groups: dict[str, list[str]] = {}
        for node in nodes:
            groups.setdefault(self.answer(node), []).append(name_of(node))
        for answer, names in groups.items():
            yield f"{shortened(names, NAMED)}:\n  {answer}"

    def answer(self, node: Node) -> str:
        """What stands in the way at one node."""
        name = self.decl.name
        if node.op not in self.roots:
            return f"it is {node.op}; {name} looks for {' or '.join(self.roots)}"
        miss = self.matcher.explain(self.decl, node)
        if miss is None:
            owner = self.cover.of(node) if self.cover else None
            other = owner.decl.name if owner and owner.decl.name != name else ""
            return f"{name} matches here" + (f", but {other} has taken it" if other else "")
        place = f"\n  {miss.span}\n{miss.span.caret()}" if miss.span else ""
        return f"{miss.reason}{place}"
