"""Where else an inferred rule matches."""

from __future__ import annotations

from sparqc.errors import UsageError
from sparqc.ir.graph import Graph
from sparqc.ir.layer_names import name_of
from sparqc.lang.parse.parser import parse_text
from sparqc.match.match import Matcher
from sparqc.match.nearest import places
from sparqc.rewrite.context import Context
from sparqc.tools.rules.infer.region import Region


def other_places(text: str, region: Region, graph: Graph, context: Context) -> list[str]:
    """The roots of the other matches in the graph.

    Raises UsageError where the rule does not match the region itself: something of it cannot be
    said in the language.
    """
    (rule,) = parse_text(text).declarations
    matcher = Matcher(context.rules, context.table, context.target.name)
    found = places(rule, graph, matcher)
    if not any(set(match.nodes) == set(region.nodes) for match in found.matches):
        reason = next((m.reason for m in found.misses if m.node is region.root), "")
        raise UsageError(
            f"a pattern cannot say what this region is{': ' if reason else ''}{reason}",
            hint="leave that operator out of --nodes, and write its line by hand",
        )
    return [name_of(m.root) for m in found.matches if m.root is not region.root]
