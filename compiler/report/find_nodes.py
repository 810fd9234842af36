"""Finding nodes by what a person calls them."""

from __future__ import annotations

from sparqc.errors import UsageError, did_you_mean
from sparqc.ir.graph import Graph, Node
from sparqc.ir.layer_names import known_names, nodes_meant


def find_nodes(graph: Graph, name: str) -> list[Node]:
    """The nodes that are called so (`sparqc.ir.layer_names`), or else those that read the constant.

    Raises UsageError where there is none.
    """
    found = nodes_meant(graph, name)
    if not found and name in graph:
        found = list(graph.value(name).readers)
    if found:
        return found
    raise UsageError(
        f"the graph has no value and no module {name!r}",
        hint=did_you_mean(name, known_names(graph.nodes)) or "`sparqc inspect` shows the graph",
    )
