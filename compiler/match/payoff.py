"""Whether 2:4 is likely to pay for a layer: what the `pays` block of its fusion says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparqc.ir.graph import Graph
from sparqc.lang.ast import Condition, FusionDecl
from sparqc.lang.parse.keywords import ELEMENT_BYTES
from sparqc.match.evaluate import failing
from sparqc.match.match import Match, Matcher

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
    names = {ELEMENT_BYTES: element_bytes}
    missed = None
    for sizes in _batches(match.root.graph, matcher):
        missed = failing(fusion.pays, match, matcher, names, sizes, unknown_holds=True)
        if missed is None:
            return None
    return missed


def _batches(graph: Graph, matcher: Matcher) -> Iterator[Mapping[str, int]]:
    """What the free batch of a graph counts as, one after the other; {} where it has none."""
    first = [value.shape[0] for value in graph.inputs if value.shape]
    free = {size for size in first if isinstance(size, str)}
    chosen = matcher.knobs.get(BATCH)
    batches = (int(chosen),) if chosen else BATCHES
    yield from ({name: batch for name in free} for batch in (batches if free else (1,)))
