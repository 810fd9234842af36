"""Structural selectors: which operators `--exclude` and `--dense` mean."""

from __future__ import annotations

from collections.abc import Iterable

from sparqc.errors import UsageError, did_you_mean
from sparqc.ir.graph import Graph, Node
from sparqc.ir.layer_names import known_names, nodes_meant
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import weight_of
from sparqc.passes.natives.network_ends import first_convolutions, is_layer

#: The word of `--dense` for layers that no sparse kernel is likely to make faster.
UNLIKELY_TO_PAY = "unlikely-to-pay"


def select(
    graph: Graph, selectors: Iterable[str], table: OperatorTable, option: str = "--exclude"
) -> dict[Node, str]:
    """The operators that the selectors name, each with the selector that took it.

    A selector is `first_conv` (convolutions with no weighted operator in front of them), `heads`
    (the last weighted operators before the outputs), an operator (`nn.linear`), or what an
    operator is called (`sparqc.ir.layer_names`): its module or its value, a glob over either
    (`layer4.*`), both as they are printed (`conv_1 (stem)`), or the very value (`%conv_1`).  None
    of them depends on the order of the nodes.

    `unlikely-to-pay`, which `--dense` takes too, needs more than the graph: whoever prunes asks.

    Raises UsageError, which names the `option`, where a selector names nothing: a typing mistake
    must not pass silently.
    """
    found: dict[Node, str] = {}
    selectors = tuple(selectors)
    refuse_dense_word(selectors, option)
    for selector in selectors:
        nodes = list(_matching(graph, selector, table))
        if not nodes:
            raise UsageError(
                f"{option} {selector}: no operator of the graph is meant by it",
                hint=_close(selector, graph, option)
                or "give first_conv, heads, an operator such as nn.linear, or the name of a layer, "
                "a module or a glob such as 'layer4.*'; `sparqc inspect` lists them",
            )
        found.update(dict.fromkeys(nodes, selector))
    return found


def refuse_dense_word(selectors: Iterable[str], option: str) -> None:
    """Raises UsageError for the word that `--dense` alone takes."""
    if UNLIKELY_TO_PAY in selectors:
        raise UsageError(
            f"{option} {UNLIKELY_TO_PAY}: this word is for --dense alone",
            hint="what does not pay as 2:4 is still faster in INT8",
        )


def _matching(graph: Graph, selector: str, table: OperatorTable) -> Iterable[Node]:
    if selector == "first_conv":
        return first_convolutions(graph)
    if selector == "heads":
        return _heads(graph, table)
    called = set(nodes_meant(graph, selector))
    return [node for node in graph.nodes if node.op == selector or node in called]


def _close(selector: str, graph: Graph, option: str) -> str:
    """The words that were perhaps meant; "" where none is like them."""
    words = {"first_conv", "heads"} | ({UNLIKELY_TO_PAY} if option == "--dense" else set())
    known = {*words, *(n.op for n in graph.nodes), *known_names(graph.nodes)}
    hint = did_you_mean(selector.removeprefix("%"), known)
    return hint if hint.startswith("did you mean") else ""


def _heads(graph: Graph, table: OperatorTable) -> list[Node]:
    """Weighted operators from which an output is reached without passing another one.

    One that only weighs up what is predicted, such as the expected value over the bins of a box
    edge, is a head, and so are those in front of it.
    """
    heads: list[Node] = []
    seen: set[Node] = set()
    stack = [v.producer for v in graph.outputs if v.producer]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if weight_of(node, table):
            heads.append(node)
        if not is_layer(node):
            stack.extend(v.producer for v in node.inputs if v.producer)
    return heads
