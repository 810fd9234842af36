"""Turn a knob of the target's rules, as a step of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from sparqc.declared.knobs import parse_knobs
from sparqc.ir.graph import Graph
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context


@register
@dataclass(frozen=True)
class Knob(Pass):
    """Turn knobs of the target's rules for the passes that follow.

    `knob{set="attention=int8"}`; what a person sets with --knob stays as it is.
    """

    name = "knob"
    preserves = "exact"
    set: str = ""

    def run(self, graph: Graph, context: Context) -> int:
        """Turn them; the graph stays what it is."""
        for name, value in parse_knobs(self.set).items():
            if name not in context.knobs:
                context.rules.turn(name, value)
        return 0
