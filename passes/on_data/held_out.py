"""Calibration data in two parts: what is fitted to one is judged on the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from sparqc.ir.graph import Graph
from sparqc.ir.samples import is_free
from sparqc.passes.on_data.batches import calibration_batches
from sparqc.rewrite.context import Batch, Context

#: One image in so many is held back, or one batch where batches cannot be cut.
SHARE = 4
#: Fewer samples are few.  The shipped example (a ResNet on Fashion-MNIST, top-1 in %, preset
#: `default`): 87.1 with one image, 91.4 with 8, 90.0 with 16, 93.2 with 32, 94.0 with 384.
FEW = 64
#: Fewer images that are held back say too little about others: then nothing is judged.
LEAST = 8
#: More images that are held back would only cost time: what follows is fitted to.
MOST = 32


@dataclass
class Split:
    """The calibration data, walked once for a pass that fits to a part and is judged on the rest.

    Where it is not to be judged, everything is fitted to.
    """

    graph: Graph
    context: Context
    limit: int | None = None  # at most so many batches
    judged: bool = True
    #: What is held back, up to `MOST` samples: a part of each batch, in their order.
    held: list[Batch] = field(default_factory=list)

    @property
    def samples(self) -> int:
        """How many samples are held back, as far as the data was walked."""
        return sum(map(samples_of, self.held))

    def fitted(self) -> Iterator[tuple[int, Batch]]:
        """The batches without what is held back, numbered from 1; raises as
        `calibration_batches` does."""
        self.held.clear()
        for number, batch in calibration_batches(self.graph, self.context, self.limit):
            if not self.judged:
                yield number, batch
                continue
            room = MOST - self.samples
            rest = _held_back(self.graph, number, batch) if room > 0 else None
            if rest is None:
                yield number, batch
                continue
            size, last = samples_of(batch), samples_of(rest)
            fits = size - min(last, room) if last < size else 0
            self.held.append([array[fits:] for array in batch] if fits else batch)
            if fits:
                yield number, [array[:fits] for array in batch]

    def parts(self, most: float = math.inf) -> list[tuple[int, Batch]]:
        """What may be fitted to of the first so many samples, in memory.

        Everything where what would be held back is too little to judge by; `held` is empty then.
        """
        found = self._taken(most)
        if self.samples < LEAST:
            self.judged = False
            found = self._taken(most)
        return found

    def _taken(self, most: float) -> list[tuple[int, Batch]]:
        found: list[tuple[int, Batch]] = []
        samples = 0
        for number, batch in self.fitted():
            found.append((number, batch))
            samples += samples_of(batch)
            if samples + self.samples >= most:
                break
        self.context.batch = 0
        return found

    def few(self, count: int = MOST) -> list[Batch]:
        """The first of what may be fitted to, of so many samples; walks no further than needed."""
        found: list[Batch] = []
        samples = 0
        for _, batch in self.fitted():
            if samples < count:
                found.append(batch)
                samples += samples_of(batch)
            if samples >= count and self.samples >= MOST:
                break
        self.context.batch = 0
        return found


def samples_of(batch: Batch) -> int:
    """How many samples a batch holds: its first dimension."""
    return len(batch[0]) if batch and batch[0].ndim else 1


def _held_back(graph: Graph, number: int, batch: Batch) -> Batch | None:
    """What of a batch, numbered from 1, is held back; None where all of it may be fitted to."""
    if _is_cuttable(graph, batch):
        return [array[-_held(batch) :] for array in batch]
    return batch if number % SHARE == 0 else None


def _is_cuttable(graph: Graph, batch: Batch) -> bool:
    return is_free(graph.inputs) and len(batch[0]) > 1


def _held(batch: Batch) -> int:
    """How many images at the end of a batch are held back: rounded up, but never all."""
    return -(-len(batch[0]) // SHARE)
