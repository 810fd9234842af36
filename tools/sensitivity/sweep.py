"""Inputs on their way through the float network, so that what lies behind a layer runs alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sparqc.ir.graph import Array, Graph
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.rewrite.context import Batch
from sparqc.tools.sensitivity.cut import Behind, computed

#: Bytes of values in front of a layer that are kept; inputs beyond it run through all layers.
ROOM = 1 << 30
#: Bytes of outputs of the float network that are kept, to compare with.
OUTPUT_ROOM = 256 << 20


@dataclass
class BatchState:
    """One batch: what the float network gives for it, and its values in front of a layer."""

    digest: bytes
    #: Kept where nobody gives the batch again.
    batch: Batch | None
    #: None where there was no room.
    outputs: list[Array] | None
    known: dict[str, Array] | None


@dataclass
class Sweep:
    """Batches that stand in front of one operator of a graph, and move on to the next.

    Each operator of the float network runs once for each batch, however many layers there are.
    """

    graph: Graph
    table: OperatorTable
    room: int = ROOM
    states: list[BatchState] = field(default_factory=list)
    at: int = 0

    def __post_init__(self) -> None:
        self._nodes = list(self.graph.nodes)
        self._inputs = [v.name for v in self.graph.inputs]
        self._outputs_kept = self._values_kept = 0
        self._known: frozenset[str] = frozenset()

    def add(self, batch: Batch, outputs: list[Array], *, keep: bool) -> None:
        """A batch in front of the whole network; `keep` it where nobody gives it again."""
        size = sum(y.nbytes for y in outputs)
        fits = not self.states or self._outputs_kept + size <= OUTPUT_ROOM
        self._outputs_kept += size if fits else 0
        given, known = list(batch), None
        bytes_given = sum(a.nbytes for a in given)
        if keep or self._values_kept + bytes_given <= self.room:
            known = dict(zip(self._inputs, given, strict=True))
            self._values_kept += bytes_given
        self.states.append(
            BatchState(digest(batch), given if keep else None, outputs if fits else None, known)
        )

    def move_to(self, index: int) -> None:
        """Run the operators in front of the one with that number; never backwards."""
        if index <= self.at:
            return
        known = computed(self._nodes[:index])
        needed = Behind(self.graph, known, self.table).inputs
        step = Behind(self.graph, self._known, self.table, needed)
        taken = 0
        for state in self.states:
            if state.known is None:
                continue
            state.known = dict(zip(needed, step.run(state.known), strict=True))
            taken += sum(a.nbytes for a in state.known.values())
            if taken > self.room:
                state.known = None
        self.at, self._known = index, known

    def behind(self, graph: Graph, wanted: Sequence[str] | None = None) -> Answer:
        """Runs a graph that differs from the float one behind the operator at hand only."""
        return Answer(self, graph, self._known, wanted)


class Answer:
    """What a variant gives for the batches of a sweep."""

    def __init__(
        self, sweep: Sweep, graph: Graph, known: frozenset[str], wanted: Sequence[str] | None
    ) -> None:
        self._sweep, self._graph, self._wanted = sweep, graph, wanted
        self._part = Behind(graph, known, sweep.table, wanted)
        self._whole: Behind | None = None

    def of(self, state: BatchState | None, batch: Batch | None = None) -> list[Array]:
        """The wanted values for a batch of the sweep; for another `batch` all is run."""
        same = state is not None and (batch is None or digest(batch) == state.digest)
        if state is not None and state.known is not None and same:
            return self._part.run(state.known)
        given = batch if batch is not None or state is None else state.batch
        assert given is not None
        if self._whole is None:
            self._whole = Behind(self._graph, (), self._sweep.table, self._wanted)
        names = (v.name for v in self._sweep.graph.inputs)
        return self._whole.run(dict(zip(names, given, strict=True)))


def digest(batch: Batch) -> bytes:
    """Tells batches apart, to the bit."""
    found = hashlib.blake2b(digest_size=16)
    for array in batch:
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.digest()
