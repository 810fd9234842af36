"""Structural selectors: which operators `--exclude` means."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from sparqc.errors import UsageError
from sparqc.ir.graph import Graph, Node
from sparqc.ir.table import OperatorTable


def select(graph: Graph, selectors: Iterable[str], table: OperatorTable) -> dict[Node, str]:
    """The operators that the selectors name, each with the selector that took it.

    A selector is `first_conv`, `heads` (the last weighted operators before the outputs), an
    operator (`nn.linear`), or a glob over module paths or value names (`layer4.*`).

    Raises UsageError where a selector names nothing: a typing mistake must not pass silently.
    """
    found: dict[Node, str] = {}
    for selector in selectors:
        nodes = list(_matching(graph, selector, table))
        if not nodes:
            raise UsageError(
                f"--exclude {selector}: no operator of the graph is meant by it",
                hint="give first_conv, heads, an operator such as nn.linear, or a glob over module "
                "paths such as 'layer4.*'; `sparqc inspect` lists them",
            )
        found.update(dict.fromkeys(nodes, selector))
    return found


def _matching(graph: Graph, selector: str, table: OperatorTable) -> Iterable[Node]:
    if selector == "first_conv":
        return [n for n in graph.nodes if n.op == "nn.conv"][:1]
    if selector == "heads":
        return _heads(graph, table)
    return (
        node
        for node in graph.nodes
        if node.op == selector
        or fnmatchcase(node.origin.module, selector)
        or any(fnmatchcase(v.name, selector) for v in node.outputs)
    )


def _heads(graph: Graph, table: OperatorTable) -> list[Node]:
    """Weighted operators from which an output is reached without passing another one."""
    heads: list[Node] = []
    seen: set[Node] = set()
    stack = [v.producer for v in graph.outputs if v.producer]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        operator = table.get(node.op)
        if operator and operator.weight:
            heads.append(node)
        else:
            stack.extend(v.producer for v in node.inputs if v.producer)
    return heads
