"""Train the weights on the calibration data, with the original network as teacher."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparqc.ir.graph import Graph
from sparqc.ir.samples import is_free
from sparqc.passes.on_data.batches import calibration_batches, check_limit
from sparqc.passes.on_data.held_out import LEAST, held_back, to_fit
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Batch, Context

if TYPE_CHECKING:
    from sparqc.passes.layerwise.distillation import Distilled


@dataclass(frozen=True)
class Distillations:
    """The fact that `distill` leaves."""

    #: None where it did not run.
    result: Distilled | None = None
    #: Why it did not; "" where it did.
    reason: str = ""


@register
@dataclass(frozen=True)
class Distill(Pass):
    """Train weights, biases and BatchNorm's factors so that the network gives what it gave.

    No labels are needed: the model as it was read answers the calibration data, at its outputs and
    wherever it narrows to one value.  The zeros of 2:4 weights stay.  Statistics of BatchNorms
    stand still.  A quarter of the images is held back, and the weights of the epoch that serves
    these best are kept: where none does, nothing changes.  Runs behind `prune`, in front of `fold`.

    `rate` is the learning rate of Adam as a share of each tensor's root mean square; `mixed` lets
    the networks see mixtures of two images, where inputs are floats.  `batches` bounds the data.
    """

    name = "distill"
    preserves = "lossy"
    needs_reference = True
    epochs: int = 15
    rate: float = 1e-3
    mixed: bool = True
    seed: int = 0
    batches: int | None = None  # at most so many; none: all

    def __post_init__(self) -> None:
        check_limit(self.batches)
        if self.epochs < 1:
            raise ValueError("epochs must be at least 1")
        if not 0 < self.rate < math.inf:
            raise ValueError("rate must be above 0")

    def run(self, graph: Graph, context: Context) -> int:
        """Train; returns how many tensors changed."""
        given = [batch for _, batch in calibration_batches(graph, context, self.batches)]
        if reason := _against(graph, context, given):
            context.facts.put(Distillations(reason=reason))
            return 0
        numbered = list(enumerate(given, 1))
        fit = [part for n, batch in numbered if (part := to_fit(graph, n, batch)) is not None]
        held = [part for n, batch in numbered if (part := held_back(graph, n, batch)) is not None]
        # Only here is torch needed, which takes seconds to import.
        from sparqc.passes.layerwise.distillation import Distillation, together

        assert context.reference is not None
        distillation = Distillation(graph, context.reference, context.table)
        found = distillation.run(
            together(fit),
            together(held),
            epochs=self.epochs,
            rate=self.rate,
            mixed=self.mixed and all(map(_is_float, given)),
            seed=self.seed,
            progress=context.progress,
        )
        context.facts.put(Distillations(found))
        return distillation.tensors if found.epochs else 0


def _against(graph: Graph, context: Context, given: list[Batch]) -> str:
    """Why there is nothing to train on; "" where there is."""
    if context.random_calibration:
        return "calibration data is random"
    if graph.level != "fx":
        return "the model is an ONNX file"
    if context.reference is None:
        return "the model as it was read is not there to compare with"
    if not is_free(graph.inputs):
        return "the batch size is fixed"
    if sum(len(batch[0]) for batch in given) < 4 * LEAST:
        return f"there are fewer than {4 * LEAST} calibration images"
    return ""


def _is_float(batch: Batch) -> bool:
    return all(x.dtype.kind == "f" and bool(np.isfinite(x).all()) for x in batch)
