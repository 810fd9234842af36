"""Calibration batches on their way through two networks, layer after layer, each operator once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Node, Value
from sparqc.passbase import Batch
from sparqc.passes.layerwise.matrix_form import Images, MatrixForm
from sparqc.passes.layerwise.network import Network
from sparqc.passes.layerwise.normal_equations import NormalEquations
from sparqc.passes.layerwise.states import States

REFERENCE, CURRENT = 0, 1


@dataclass(frozen=True)
class Stop:
    """A layer at which the walk stops: what it reads now, and what it gave in the reference."""

    node: Node  # of the current graph
    form: MatrixForm
    x: Value  # of the current graph
    y: Value  # of the reference graph


class Walk:
    """Two networks that have run up to the same layer on every batch."""

    def __init__(
        self,
        reference: Network,
        current: Network,
        stops: Sequence[Stop],
        batches: Iterable[tuple[int, Batch]],
        states: States,
    ) -> None:
        self.reference, self.current, self.stops, self._states = reference, current, stops, states
        self._places = [0, 0]
        self._count = self._images = 0
        for self._count, batch in batches:
            self._images += _images(batch[0])
            states.put((REFERENCE, self._count), reference.start(batch))
            states.put((CURRENT, self._count), current.start(batch))

    def measure(self, index: int) -> NormalEquations:
        """Go on to the next stop, and measure there.

        Raises SparqcError where the layer's input or output is NaN or infinite.
        """
        stop, found, first = self.stops[index], NormalEquations(), 0
        for batch, (x, y) in self._advance(index):
            if not (x.isfinite().all() and y.isfinite().all()):
                raise SparqcError(
                    f"the layer {stop.node.output.name!r} takes or gives NaN or infinite values "
                    f"in calibration batch {batch}",
                    hint="check the weights and that batch: nothing can be solved there",
                )
            images = Images(first, self._images)
            found.add(stop.form.inputs(x.float(), images), stop.form.outputs(y.float(), images))
            first += _images(x)
        return found

    def _advance(self, index: int) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
        stop = self.stops[index]
        later = [self.reference.name(s.y) for s in self.stops[index + 1 :]]
        aims = [
            max(self._places[REFERENCE], self.reference.place(stop.y)),
            max(self._places[CURRENT], self.current.place(stop.x)),
        ]
        for batch in range(1, self._count + 1):
            y = self._run(REFERENCE, batch, aims, stop.y, [*later, self.reference.name(stop.y)])
            x = self._run(CURRENT, batch, aims, stop.x, [])
            with torch.no_grad():
                yield batch, (x, y)
        self._places = aims

    def _run(
        self, which: int, batch: int, aims: Sequence[int], value: Value, keep: Sequence[str]
    ) -> Tensor:
        network = (self.reference, self.current)[which]
        state = self._states.take((which, batch))
        if aims[which] > self._places[which]:
            network.run(state, self._places[which], aims[which], keep)
        tensor = network.get(value, state)
        if which == REFERENCE:
            network.forget(state, aims[which], keep[:-1])
        self._states.put((which, batch), state)
        return tensor


def _images(x: Tensor | Array) -> int:
    return len(x) if x.ndim else 1
