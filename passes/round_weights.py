"""Round weights to INT8 so that each layer still gives what it gave in the float model."""

from __future__ import annotations

from dataclasses import dataclass

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph
from sparqc.passes.half.widened import ends_in_half
from sparqc.passes.layerwise.options import check_options
from sparqc.passes.layerwise.repaired import Repaired
from sparqc.passes.on_data.changes import make_all
from sparqc.passes.on_data.held_out import Split
from sparqc.passes.on_data.not_in_torch import NotInTorch
from sparqc.passes.on_data.transaction import Judgement, keep_what_helps, note
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

    A quarter of each calibration batch is not rounded by, and judges: the codes stay only where
    they bring the outputs nearer to those of the model as it was read, in all layers, or in a half
    or a quarter of them.  With fewer than 8 such samples the nearest codes stay.  `always` rounds
    by everything, untried.

    `ranges` also chooses the scale of each output channel anew.  `damping` is how strongly weights
    are held to what they were, as a share of the mean squared input; without it each layer takes
    what does best on images that were held back.
    """

    name = "round-weights"
    preserves = "lossy"
    needs_reference = True
    ranges: bool = True
    damping: float | None = None
    always: bool = False
    batches: int | None = None  # at most so many; none: all

    def __post_init__(self) -> None:
        check_options(self.damping, self.batches)

    def is_separable(self) -> bool:
        """Each layer by itself."""
        return True

    def run(self, graph: Graph, context: Context) -> int:
        """Round the weights; returns of how many layers."""
        # Only here is torch needed, which takes seconds to import.
        from sparqc.passes.layerwise.repair import repair
        from sparqc.passes.layerwise.rounding import Rounding, quantized_layers

        context.facts.put(WeightRounding())
        worked = graph.clone()
        layers = list(quantized_layers(worked, context.table))
        if not layers:
            return 0
        reference = context.reference
        if reference is None:
            raise SparqcError("round-weights: the model as it was read is not there to compare")
        tasks = [
            Rounding(
                worked,
                layer,
                damping=self.damping,
                ranges=self.ranges,
                in_half=ends_in_half(context),
            ).task(reference)
            for layer in layers
        ]
        split = Split(graph, context, self.batches, judged=not self.always)
        try:
            rows = repair(reference, worked, tasks, split.fitted(), context)
        except NotInTorch as error:
            if graph.level == "fx":
                raise
            note(context.facts, Judgement(self.name, reason=error.message))
            return 0
        if self.always:
            make_all(graph, worked, context.table)
        else:
            found = keep_what_helps(graph, worked, reference, split, self.name, context)
            rows = [row for row in rows if row.layer in found.kept]
        context.facts.put(WeightRounding(tuple(rows)))
        return len(rows)
