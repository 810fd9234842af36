"""`sparqc whynot`: why a rule did not fire."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import click

from sparqc.base.text import shortened
from sparqc.tools.model.request import Request, takes_request
from sparqc.tools.runs.folder import SCHEMA, RunFolder, is_run, open_run, require_run
from sparqc.tools.terminal import completion

if TYPE_CHECKING:
    from sparqc.ir.graph import Graph, Node
    from sparqc.lang.ast import Declaration
    from sparqc.match.cover import Cover
    from sparqc.match.match import Matcher
    from sparqc.pipeline.steps import Step
    from sparqc.rewrite.context import Context

#: So many nodes with the same reason are named.
NAMED = 5


@click.command("whynot")
@takes_request
@click.argument("rule", shell_complete=completion.declarations)
@click.argument("node", required=False)
@click.option(
    "--after",
    metavar="PASS",
    shell_complete=completion.passes,
    help="Look at the graph behind this pass, not in front of the one that uses the rule.",
)
@click.option("--near", metavar="NODE", help="The same as NODE.")
@click.option("--json", "as_json", is_flag=True, help="Of a run directory: print it as JSON.")
def whynot_command(
    request: Request,
    rule: str,
    node: str | None,
    after: str | None,
    near: str | None,
    as_json: bool,
) -> None:
    """Say why RULE (or a fusion, share or check) does not match in MODEL.

    NODE is a value, a module, or 'conv_9 (c2.m.a.conv)'; without it, every node at which the rule
    could match is asked.  MODEL may be a run directory: then no pass runs, and the graph is the one
    that the run left in front of the pass.
    """
    node = node or near
    if is_run(request.model):
        _whynot_in_run(open_run(request.model), rule, node, after, as_json)
        return
    require_run("--json", as_json)
    from sparqc.pipeline.library import read_user_file, rulebook
    from sparqc.tools.inspect.stages import graph_before

    @cache
    def declared() -> Declaration:
        return rulebook([read_user_file(path) for path in request.options.patterns]).find(rule)

    if not request.options.patterns:
        declared()  # an unknown rule is said before the model is read, which takes longer
    # A person's own file may call natives that their model imports.
    graph, context = graph_before(request, lambda step: uses(step, declared()), after)
    click.echo("\n".join(_lines(_answers(graph, context, declared(), node))))


def _answers(
    graph: Graph, context: Context, decl: Declaration, node: str | None
) -> list[tuple[list[str], str]]:
    """What stands in the way at one node, or at all: names, and what is said of them."""
    from sparqc.match.match import Matcher
    from sparqc.report.find_nodes import find_nodes

    matcher = Matcher(context.rules, context.table, context.target.name)
    roots = matcher.roots(decl)
    if node is not None:
        nodes = find_nodes(graph, node)
    else:
        nodes = [n for n in graph.nodes if n.op in roots]
    asked = _Question(decl, matcher, sorted(roots), _cover(graph, decl, matcher))
    return asked.answers(nodes)


def _lines(answers: list[tuple[list[str], str]]) -> Iterator[str]:
    for names, answer in answers:
        yield f"{shortened(names, NAMED)}:\n  {answer}" if names else answer


def _whynot_in_run(
    run: RunFolder, rule: str, node: str | None, after: str | None, as_json: bool
) -> None:
    from sparqc.pipeline import run as pipelines
    from sparqc.tools.runs.replay import open_replay

    start = after
    if start is None:
        from sparqc.pipeline.library import read_user_file, rulebook
        from sparqc.tools.runs.asked import request_of, where_it_ran

        with where_it_ran(run):
            own = [read_user_file(path) for path in request_of(run).options.patterns]
        decl = rulebook(own).find(rule)
        steps = pipelines.parse(run.data.get("pipeline") or "").items
        used = [i for i, item in enumerate(steps) if any(uses(s, decl) for s in item.steps)]
        start = str(used[0] if used else 0)
    replayed = open_replay(run, start, None)
    context = replayed.job.context
    found = _answers(replayed.job.graph, context, context.rules.find(rule), node)
    if as_json:
        rows = [{"nodes": names, "answer": answer} for names, answer in found]
        stage = replayed.stage.path.name
        text = json.dumps({"schema": SCHEMA, "rule": rule, "graph": stage, "answers": rows})
        click.echo(text)
        return
    for note in replayed.notes:
        click.echo(f"note: {note}", err=True)
    click.echo("\n".join(_lines(found)))


def uses(step: Step, decl: Declaration) -> bool:
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

    def answers(self, nodes: Sequence[Node]) -> list[tuple[list[str], str]]:
        """Names and what is said of them; nodes with the same answer share it."""
        from sparqc.ir.layer_names import name_of

        if not nodes:
            roots = " or ".join(self.roots)
            return [([], f"{self.decl.name} looks for {roots}, and the graph has none")]
        groups: dict[str, list[str]] = {}
        for node in nodes:
            groups.setdefault(self.answer(node), []).append(name_of(node))
        return [(names, answer) for answer, names in groups.items()]

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
