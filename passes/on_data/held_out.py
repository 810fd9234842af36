"""Calibration data in two parts: what is fitted to one is judged on the other."""

from __future__ import annotations

from sparqc.ir.graph import Graph
from sparqc.ir.samples import is_free
from sparqc.rewrite.context import Batch

#: One image in so many is held back, or one batch where batches cannot be cut.
SHARE = 4
#: Fewer samples are few.  The shipped example (a ResNet on Fashion-MNIST, top-1 in %, preset
#: `default`): 87.1 with one image, 91.4 with 8, 90.0 with 16, 93.2 with 32, 94.0 with 384.
FEW = 64
#: Fewer images that are held back say too little about others: then all are fitted to and judge.
LEAST = 8


def to_fit(graph: Graph, number: int, batch: Batch) -> Batch | None:
    """What of a batch, numbered from 1, may be fitted to; None where it is held back."""
    if _is_cuttable(graph, batch):
        return [array[: -_held(batch)] for array in batch]
    return None if number % SHARE == 0 else batch


def held_back(graph: Graph, number: int, batch: Batch) -> Batch | None:
    """The rest of a batch; None where all of it may be fitted to."""
    if _is_cuttable(graph, batch):
        return [array[-_held(batch) :] for array in batch]
    return batch if number % SHARE == 0 else None


def _is_cuttable(graph: Graph, batch: Batch) -> bool:
    return is_free(graph.inputs) and len(batch[0]) > 1


def _held(batch: Batch) -> int:
    """How many images at the end of a batch are held back."""
    return max(1, len(batch[0]) // SHARE)
