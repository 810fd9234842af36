"""Finding nodes by what a person calls them: a value's name, a module, or a glob over either."""

from __future__ import annotations

from fnmatch import fnmatchcase

from sparqc.errors import UsageError, did_you_mean
from sparqc.ir.graph import Graph, Node


def find_nodes(graph: Graph, name: str) -> list[Node]:
    """The nodes that define a value of that name, or else those of the module, or else those that
    read the constant.

    Raises UsageError where there is none.
    """
    named = [n for n in graph.nodes if any(fnmatchcase(v.name, name) for v in n.outputs)]
    found = named or [n for n in graph.nodes if fnmatchcase(n.origin.module, name)]
    if not found and name in graph:
        found = list(graph.value(name).readers)
    if found:
        return found
    known = {v.name for n in graph.nodes for v in n.outputs}
    known |= {n.origin.module for n in graph.nodes if n.origin.module}
    raise UsageError(
        f"the graph has no value and no module {name!r}",
        hint=did_you_mean(name, known) or "`sparqc inspect` shows the graph",
    )
