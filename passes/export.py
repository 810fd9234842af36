"""From the FX graph to the ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sparqc.errors import SparqcError, UsageError
from sparqc.ir.export import to_onnx
from sparqc.ir.graph import Graph, Value
from sparqc.passbase import Context, Pass
from sparqc.registry import register


@register
@dataclass(frozen=True)
class Export(Pass):
    """Write the FX graph as an ONNX graph in the target's opset; quantizers become Q/DQ pairs."""

    name = "export"
    level = "fx"
    gives = "onnx"
    preserves = "close"
    opset: int | None = None

    #: The exporter's and the readers' limits stand in the target profile.
    lowest: ClassVar[int] = 13

    def transform(self, graph: Graph, context: Context) -> tuple[Graph, int]:
        """The ONNX graph; the count is its number of operators."""
        target = context.target
        opset = self.opset or target.opset
        if not target.min_opset <= opset <= target.max_opset:
            raise UsageError(
                f"export{{opset={opset}}}: {target.name} reads opset {target.min_opset} to "
                f"{target.max_opset}",
                hint=f"leave the option out to get opset {target.opset}",
            )
        _refuse_uncalibrated(graph)
        exported = to_onnx(graph, context.table, opset)
        return exported, len(exported)


def _refuse_uncalibrated(graph: Graph) -> None:
    """A NaN scale would reach the file as a quantizer that destroys its input."""
    for node in graph.nodes:
        scale = node.operands.get("scale") if node.op == "q.qdq" else None
        if isinstance(scale, Value) and scale.data is not None and (scale.data != scale.data).any():
            raise SparqcError(
                f"the quantizer {node.output.name} ({node.origin.module or 'top level'}) has no "
                "scale: nothing was calibrated between place and export",
                hint="put `calibrate` between `place` and `export` in --passes",
            )
