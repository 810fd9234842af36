"""Round weights to INT8 so that each layer still gives what it gave in the float model."""

from __future__ import annotations

from dataclasses import dataclass

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph
from sparqc.passes.layerwise.options import check_options
from sparqc.passes.layerwise.repaired import Repaired
from sparqc.passes.on_data.batches import calibration_batches
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context


@dataclass(frozen=True)
class WeightRounding:
    """The fact that `round-weights` leaves: a row for each layer."""

    layers: tuple[Repaired, ...] = ()


@register
@dataclass(frozen=True)
class RoundWeights(Pass):
    """Choose the INT8 codes of each layer's weights together, on the calibration data.

    Rounding to the nearest code is best for each weight alone; here what one weight loses the
    others of its output channel make good (GPTQ), so that behind quantized and pruned layers each
    layer gives what it gave in the model as it was read.  Zeros of 2:4 masks stay zero, and biases
    take the remaining mean error.  Runs behind `calibrate`.

    `ranges` also chooses the scale of each output channel anew.  `damping` is how strongly weights
    are held to what they were, as a share of the mean squared input; without it each layer takes
    what does best on images that were held back.
    """

    name = "round-weights"
    preserves = "lossy"
    needs_reference = True
    ranges: bool = True
    damping: float | None = None
    batches: int | None = None  # at most so many; none: all

    def __post_init__(self) -> None:
        check_options(self.damping, self.batches)

    def run(self, graph: Graph, context: Context) -> int:
        """Round the weights; returns of how many layers."""
        # Only here is torch needed, which takes seconds to import.
        from sparqc.passes.layerwise.repair import repair
        from sparqc.passes.layerwise.rounding import Rounding, quantized_layers

        context.facts.put(WeightRounding())
        layers = list(quantized_layers(graph, context.table))
        if not layers:
            return 0
        if context.reference is None:
            raise SparqcError("round-weights: the model as it was read is not there to compare")
        tasks = [
            Rounding(graph, layer, damping=self.damping, ranges=self.ranges).task(context.reference)
            for layer in layers
        ]
        given = calibration_batches(graph, context, self.batches)
        rows = repair(context.reference, graph, tasks, given, context)
        context.facts.put(WeightRounding(tuple(rows)))
        return len(rows)
