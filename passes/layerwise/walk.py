"""Calibration batches on their way through two networks, layer after layer, each operator once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.passes.layerwise.matrix_form import Images, MatrixForm
from sparqc.passes.layerwise.network import Network, State
from sparqc.passes.layerwise.normal_equations import NormalEquations
from sparqc.passes.layerwise.states import States
from sparqc.rewrite.context import Batch

REFERENCE, CURRENT = 0, 1


@dataclass(frozen=True)
class Stop:
    """A layer at which the walk stops: what it reads now, and what it gave in the reference."""

    node: Node  # of the current graph
    form: MatrixForm
    x: Value  # of the current graph
    y: Value | None  # of the reference graph; None where it has no such value


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
        self._images = 0
        self._batches: list[int] = []  # their numbers: those that are held back are missing
        for number, batch in batches:
            self._batches.append(number)
            self._images += _images(batch[0])
            states.put((REFERENCE, number), reference.start(batch))
            states.put((CURRENT, number), current.start(batch))

    def measure(self, index: int) -> NormalEquations:
        """Go on to the next stop, and measure there.

        Raises SparqcError where the layer's input or output is NaN or infinite.
        """
        stop, found, first = self.stops[index], NormalEquations(), 0
        for batch, x, y in self._advance(index):
            if not (x.isfinite().all() and (y is None or y.isfinite().all())):
                raise SparqcError(
                    f"the layer {name_of(stop.node)!r} takes or gives NaN or infinite values "
                    f"in calibration batch {batch}",
                    hint="check the weights and that batch: nothing can be solved there",
                )
            images = Images(first, self._images)
            samples = stop.form.inputs(x.float(), images)
            if y is None:
                target = samples.new_zeros(*samples.shape[:2], stop.form.rows)
            else:
                target = stop.form.outputs(y.float(), images)
            found.add(samples, target, first, _images(x))
            first += _images(x)
        return found

    def _advance(self, index: int) -> Iterator[tuple[int, Tensor, Tensor | None]]:
        stop = self.stops[index]
        later = {self.reference.name(s.y) for s in self.stops[index + 1 :] if s.y is not None}
        before, aims = self._places, list(self._places)
        if stop.y is not None:
            aims[REFERENCE] = max(before[REFERENCE], self.reference.place(stop.y))
        aims[CURRENT] = max(before[CURRENT], self.current.place(stop.x))
        for batch in self._batches:
            y = None
            if stop.y is not None:
                with self._state(REFERENCE, batch) as state:
                    keep = {*later, self.reference.name(stop.y)}
                    self.reference.run(state, before[REFERENCE], aims[REFERENCE], keep)
                    y = self.reference.get(stop.y, state)
                    self.reference.forget(state, aims[REFERENCE], later)
            with self._state(CURRENT, batch) as state:
                self.current.run(state, before[CURRENT], aims[CURRENT])
                x = self.current.get(stop.x, state)
            yield batch, x, y
        self._places = aims

    @contextmanager
    def _state(self, network: int, batch: int) -> Iterator[State]:
        state = self._states.take((network, batch))
        yield state
        self._states.put((network, batch), state)


def _images(x: Tensor | Array) -> int:
    return len(x) if x.ndim else 1
