"""From the FX graph to the ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sparqc.ir.graph import Graph
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context


@dataclass(frozen=True)
class RequestedOpset:
    """The fact that a person asked for an opset, which no later pass goes beyond."""

    opset: int


@dataclass(frozen=True)
class ExportedAlone:
    """The operators that torch.onnx exported, each alone: name -> how many."""

    operators: Mapping[str, int]


@register
@dataclass(frozen=True)
class Export(Pass):
    """Write the FX graph as an ONNX graph in the target's opset; quantizers become Q/DQ pairs.

    An operator that the table cannot write is exported by torch.onnx, it alone.
    """

    name = "export"
    level = "fx"
    gives = "onnx"
    preserves = "close"
    indivisible = "a graph that is exported in part is of neither level"
    #: The target's own default without it; UsageError for one that the target does not read.
    opset: int | None = None

    def transform(self, graph: Graph, context: Context) -> tuple[Graph, int]:
        """The ONNX graph; the count is its number of operators."""
        from sparqc.ir.export.direct import export_graph

        opset = context.target.require_opset(self.opset or context.target.opset)
        if self.opset:
            context.facts.put(RequestedOpset(self.opset))
        exported = export_graph(graph, context.table, opset, example=context.example)
        context.facts.put(ExportedAlone(exported.alone))
        if graph.replaced is not None:
            graph.replaced += exported.became.items()
        return exported.graph, len(exported.graph)
