"""Weights that are 2:4 where no sparse kernel takes them, or is likely to win."""

from __future__ import annotations

from collections.abc import Iterator

from sparqc.ir.graph import Graph
from sparqc.passes.check.finding import Finding
from sparqc.passes.difference.kinds import NEVER_SPARSE
from sparqc.predict.engine import PredictedEngine
from sparqc.predict.ledger import UNCOVERED


def sparse_findings(engine: PredictedEngine, graph: Graph) -> Iterator[Finding]:
    """A finding for each layer whose weight was pruned for nothing, in the words of its fusion.

    Zeros alone are 2:4 too, but nobody pruned them: residual blocks often begin with such a layer.
    """
    for row in engine.ledger:
        verdict = next((v for v in (row.size_rule, row.pays) if not v.holds), None)
        if not row.two_four.holds or verdict is None or verdict.reason == UNCOVERED:
            continue  # of an operator without a fusion nothing is known
        stored = graph.value(row.weight).data
        if stored is not None and not stored.any():
            continue
        yield Finding(
            id=verdict.id.replace("_", "-") or NEVER_SPARSE.id,
            grade="slow" if verdict is row.size_rule else "note",
            nodes=(row.value,),
            message=f"the weight of {row.value} is 2:4: {verdict.reason}",
            cure="leave it dense: it keeps its accuracy and loses no time",
            source=NEVER_SPARSE.source,
        )
