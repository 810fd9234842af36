"""Whether 2:4 is likely to pay for a layer: what the `pays` block of its fusion says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import cast

from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Graph, Node
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import weight_of
from sparqc.lang.ast import Condition, FusionDecl
from sparqc.lang.parse.keywords import ELEMENT_BYTES, NUMBERS, PRODUCTS
from sparqc.match.evaluate import failing
from sparqc.match.match import Match, Matcher
from sparqc.match.terms import Term, size_of
from sparqc.match.weight_sizes import weight_sizes

#: The knob for the batch that counts where it is free.
BATCH = "batch"
#: Without one: from the smallest to those at which memory, or the number of results, decides.
BATCHES = (1, 4, 16, 64, 256, 1024)


def unlikely_to_pay(
    fusion: FusionDecl, match: Match, matcher: Matcher, element_bytes: int
) -> tuple[Condition, str] | None:
    """The condition of a fusion's `pays` block that does not hold, and why; None where 2:4 pays.

    `element_bytes` are those of one number that the kernel multiplies.  Where the batch is free,
    2:4 pays if it does at some batch, or at that of the knob `batch`.  What depends on another free
    size does not count against 2:4.
    """
    missed = None
    for sizes in _batches(match.root.graph, matcher):
        names = {ELEMENT_BYTES: element_bytes, **_work(match, matcher.table, sizes)}
        missed = failing(fusion.pays, match, matcher, names, sizes, unknown_holds=True)
        if missed is None:
            return None
    return missed


def _work(match: Match, table: OperatorTable, sizes: Mapping[str, int]) -> Mapping[str, Term]:
    """The multiply-adds of a kernel, and how many numbers it reads and writes but constants."""
    inside = {value for node in match.nodes for value in node.outputs}
    read = (v for node in match.nodes for v in node.inputs)
    moved = [v for v in read if v not in inside and not is_constant(v, table)]
    return {
        PRODUCTS: _sum(_products(node, table, sizes) for node in match.nodes),
        NUMBERS: _sum(size_of(value, sizes) for value in (*moved, match.root.output)),
    }


def _products(node: Node, table: OperatorTable, sizes: Mapping[str, int]) -> Term:
    """Each result of an operator with a weight is a sum of as many products as C times the area."""
    found = weight_of(node, table)
    if found is None:
        return 0
    known = weight_sizes(found.weight, (node,), table) or {}
    factors = (size_of(node.output, sizes), known.get("C"), known.get("area"))
    unknown = next((f for f in factors if not isinstance(f, int)), None)
    return unknown if unknown is not None else prod(cast("tuple[int, ...]", factors))


def _sum(terms: Iterable[Term]) -> Term:
    known = list(terms)
    unknown = next((t for t in known if not isinstance(t, int)), None)
    return unknown if unknown is not None else sum(cast("list[int]", known))


def _batches(graph: Graph, matcher: Matcher) -> Iterator[Mapping[str, int]]:
    """What the free batch of a graph counts as, one after the other; {} where it has none."""
    first = [value.shape[0] for value in graph.inputs if value.shape]
    free = {size for size in first if isinstance(size, str)}
    chosen = matcher.knobs.get(BATCH)
    batches = (int(chosen),) if chosen else BATCHES
    yield from ({name: batch for name in free} for batch in (batches if free else (1,)))
