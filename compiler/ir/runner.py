"""What runs a graph, whatever its level: the interface, and what callbacks are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, runtime_checkable

from sparqc.ir.graph import Array, Value

#: What an executor may do to the graph: nothing, so that every rounding is the graph's own, or
#: its safe optimizations, or all, which is fast but computes other sums.
Optimize = Literal["none", "basic", "all"]

#: Takes an observed value and its array.
Show = Callable[[Value, Array], None]
#: Takes a value and its array, and gives the array that the value's readers get instead.
Edit = Callable[[Value, Array], Array]


class Runner(Protocol):
    """Runs one graph.  The graph must not change while a runner for it is in use."""

    def run(
        self, batch: Sequence[Array], observe: Sequence[Value] = ()
    ) -> tuple[list[Array], list[Array]]:
        """The graph's outputs and the observed values, for one array for each graph input.

        Raises SparqcError where the arrays do not fit the inputs, or a node fails.
        """


class KeptRunner(Runner, Protocol):
    """A runner that may be used again later, by others, on a graph that is still the same."""

    def refresh(self) -> None:
        """Forget what was computed from constants: their numbers may have been trained since."""


@runtime_checkable
class StreamingRunner(Runner, Protocol):
    """A runner that can show values while it runs, so that they need not all be in memory."""

    def stream(self, batch: Sequence[Array], observe: Sequence[Value], show: Show) -> None:
        """Run the graph; `show(value, array)` is called as soon as an observed value is there."""
