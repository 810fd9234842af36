"""`sparqc rules try`: where the declarations of a file match in a graph, or nearly do."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparqc.base.text import counted, shortened
from sparqc.errors import UsageError
from sparqc.tools.model.request import Request, takes_request
from sparqc.tools.rules.static import kind_of
from sparqc.tools.terminal import completion

if TYPE_CHECKING:
    from sparqc.ir.graph import Graph
    from sparqc.lang.ast import Declaration
    from sparqc.match.result import Match, Miss
    from sparqc.rewrite.context import Context

#: The version of what `--json` prints.
SCHEMA = 1
#: So many places are named, and so many near misses shown, in text.
NAMED, NEAREST = 8, 3


def _with_file(command: Callable[..., Any]) -> Callable[..., Any]:
    """FILE is one more of the `--patterns`, so that its natives, words and pass are known."""

    @functools.wraps(command)
    def wrapped(file: Path, patterns: tuple[Path, ...], **values: Any) -> Any:
        names = {path.resolve() for path in patterns}
        both = patterns if file.resolve() in names else (*patterns, file)
        return command(patterns=both, file=file, **values)

    return click.argument("file", type=click.Path(path_type=Path), metavar="FILE")(wrapped)


@click.command("try")
@_with_file
@takes_request
@click.option(
    "--after",
    metavar="PASS",
    shell_complete=completion.passes,
    help="Look at the graph behind this pass, not in front of the one that uses the rule.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the places as JSON.")
def try_command(request: Request, file: Path, after: str | None, as_json: bool) -> None:
    """Show where the declarations of FILE match in MODEL, and where they nearly do.

    The graph is the one in front of the pass that uses them; nothing is rewritten.  What nearly
    matches is shown with the line of FILE that was not met, and what stands there in the graph.
    """
    rows = [row for found in _stages(request, file, after) for row in _rows(*found)]
    if as_json:
        click.echo(
            json.dumps({"schema": SCHEMA, "file": str(file), "declarations": rows}, indent=2)
        )
        return
    click.echo("\n".join(line for row in rows for line in _lines(row)))


def _stages(
    request: Request, file: Path, after: str | None
) -> Iterator[tuple[Graph, Context, list[Declaration]]]:
    """The graphs to look at, each with the declarations whose pass it is in front of."""
    from sparqc.tools.inspect.stages import graph_before
    from sparqc.tools.inspect.whynot import uses

    left = _declared(file)
    if not left:
        raise UsageError(f"{file} declares nothing that is looked for in a graph")
    while left:
        first = left[0]
        alike = [d for d in left if after is not None or type(d) is type(first)]
        left = [d for d in left if d not in alike]
        graph, context = graph_before(request, functools.partial(uses, decl=first), after)
        yield graph, context, alike


def _declared(file: Path) -> list[Declaration]:
    from sparqc.lang.ast import OpDecl
    from sparqc.lang.parse.parser import parse_file

    return [d for d in parse_file(file).declarations if not isinstance(d, OpDecl)]


def _rows(graph: Graph, context: Context, declared: list[Declaration]) -> Iterator[dict[str, Any]]:
    from sparqc.match.match import Matcher
    from sparqc.match.nearest import places

    matcher = Matcher(context.rules, context.table, context.target.name)
    for decl in declared:
        found = places(context.rules.find(decl.name), graph, matcher)
        yield {
            "name": decl.name,
            "kind": kind_of(decl),
            "span": str(decl.span or ""),
            "level": graph.level,
            "levels": list(decl.levels),
            "roots": sorted(matcher.roots(decl)),
            "matches": [_match(match) for match in found.matches],
            "misses": [_miss(miss) for miss in found.misses],
        }


def _match(match: Match) -> dict[str, Any]:
    from sparqc.ir.layer_names import name_of

    return {"node": name_of(match.root), "nodes": [node.output.name for node in match.nodes]}


def _miss(miss: Miss) -> dict[str, Any]:
    from sparqc.ir.layer_names import name_of

    return {
        "node": name_of(miss.node),
        "reason": miss.reason,
        "line": str(miss.span or ""),
        "caret": miss.span.caret() if miss.span else "",
    }


def _lines(row: dict[str, Any]) -> Iterator[str]:
    """One declaration, as text."""
    head, matches, misses = f"{row['kind']} {row['name']}", row["matches"], row["misses"]
    if matches:
        names = shortened([match["node"] for match in matches], NAMED)
        yield f"{head}: matches at {counted(len(matches), 'place')}: {names}"
    elif row["level"] not in row["levels"]:
        levels = ", ".join(row["levels"])
        yield f"{head}: is for graphs on {levels}, and this one is on {row['level']}"
        yield "  `--after export` looks at the ONNX graph, `on fx, onnx` makes it for both"
    elif misses:
        yield f"{head}: matches nowhere; nearest:"
    else:
        yield f"{head}: looks for {' or '.join(row['roots'])}, and the graph has none"
    for line, nodes in _nearest(misses)[: NEAREST if not matches else 1]:
        yield f"  {'not ' if matches else ''}{shortened([m['node'] for m in nodes], NAMED)}"
        yield f"    {nodes[0]['reason']}"
        if line:
            yield f"    {line}"
            yield from (f"  {text}" for text in nodes[0]["caret"].splitlines())


def _nearest(misses: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The misses by the line that was not met and what was found there, the nearest first."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for miss in misses:
        # "conv_1 comes from nn.relu" and "conv_2 comes from nn.relu" are one kind of miss.
        what = miss["reason"].partition(" ")[2]
        groups.setdefault((miss["line"], what), []).append(miss)
    return [(line, nodes) for (line, _), nodes in groups.items()]
