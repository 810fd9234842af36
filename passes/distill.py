"""Train the weights on the calibration data, with the original network as teacher."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparqc.ir.graph import Graph
from sparqc.ir.samples import is_free
from sparqc.passes.on_data.batches import check_limit
from sparqc.passes.on_data.held_out import LEAST, SHARE, Split, samples_of
from sparqc.passes.on_data.not_in_torch import NotInTorch
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
    stand still.  A quarter of the images, at most 32, is held back, and the weights of the epoch
    that serves these best are kept: where none does, nothing changes.  Runs behind `prune`, in
    front of `fold`.

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
        split = Split(graph, context, self.batches)
        fit = [batch for _, batch in split.parts()]
        if reason := _against(graph, context, split, fit):
            context.facts.put(Distillations(reason=reason))
            return 0
        # Only here is torch needed, which takes seconds to import.
        from sparqc.passes.layerwise.distillation import Distillation, together

        assert context.reference is not None
        try:
            distillation = Distillation(graph, context.reference, context.table)
            found = distillation.run(
                together(fit),
                together(split.held),
                epochs=self.epochs,
                rate=self.rate,
                mixed=self.mixed and all(map(_is_float, fit)),
                seed=self.seed,
                progress=context.progress,
            )
        except NotInTorch as error:
            context.facts.put(Distillations(reason=error.message))
            return 0
        context.facts.put(Distillations(found))
        return distillation.tensors if found.epochs else 0


def _against(graph: Graph, context: Context, split: Split, fit: list[Batch]) -> str:
    """Why there is nothing to train on; "" where there is."""
    if context.random_calibration:
        return "calibration data is random"
    if context.reference is None:
        return "the model as it was read is not there to compare with"
    if not is_free(graph.inputs):
        return "the batch size is fixed"
    if sum(map(samples_of, fit)) + split.samples < SHARE * LEAST:
        return f"there are fewer than {SHARE * LEAST} calibration images"
    return ""


def _is_float(batch: Batch) -> bool:
    return all(x.dtype.kind == "f" and bool(np.isfinite(x).all()) for x in batch)
