"""Models that are FP16 as they come, in FP32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparqc.ir.graph import Graph
from sparqc.passes.half.types import HALF
from sparqc.passes.half.widened import Widened
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context
from sparqc.validation.departure import Departure


@register
@dataclass(frozen=True)
class Widen(Pass):
    """Let an ONNX model that is FP16, or partly so, be FP32 until `half` makes it FP16 again.

    So the passes in between measure, repair and place quantizers as in any model, whatever types
    another tool, or an earlier compile, decided on.  Every FP16 number is an FP32 number.
    Inputs and outputs keep their types, with a Cast behind them, and the model's own Casts between
    FP16 and FP32 go.  What computed in FP32 between FP16 operators stays in FP32.  Where FP32 gives
    other numbers than rounding explains, because FP16 overflowed, the model stays as it is.
    """

    name = "widen"
    preserves = "close"

    def transform(self, graph: Graph, context: Context) -> tuple[Graph, int]:
        """A graph without FP16, and the number of operators that were FP16."""
        if graph.level != "onnx" or not any(v.type.dtype == HALF for v in graph.values):
            return graph, 0
        if context.facts.get(Widened, Widened()).refused:
            return graph, 0
        from sparqc.passes.half.widening import widen

        copy = graph.clone()
        found = widen(copy, context.table)
        context.facts.put(found)
        return (copy, len(found.half)) if found.half else (graph, 0)

    def spares(self, departures: Sequence[Departure], context: Context) -> bool:
        """Leave the model in FP16."""
        context.facts.put(Widened(refused=f"in FP32 {departures[0]}"))
        return True
