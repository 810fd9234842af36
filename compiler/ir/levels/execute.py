"""Running a graph on arrays, at either level, and looking at values inside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from sparqc.ir.graph import Array, Graph, Value
from sparqc.ir.vocabulary.table import OperatorTable

if TYPE_CHECKING:
    import onnx

#: What an executor may do to the graph: nothing, so that every rounding is the graph's own, or
#: its safe optimizations, or all, which is fast but computes other sums.
Optimize = Literal["none", "basic", "all"]


#: Takes an observed value and its array.
Show = Callable[[Value, Array], None]
#: Takes a value and its array, and gives the array that the value's readers get instead.
Change = Callable[[Value, Array], Array]


class Runner(Protocol):
    """Runs one graph.  The graph must not change while a runner for it is in use."""

    def run(
        self, batch: Sequence[Array], observe: Sequence[Value] = ()
    ) -> tuple[list[Array], list[Array]]:
        """The graph's outputs and the observed values, for one array for each graph input.

        Raises SparqcError where the arrays do not fit the inputs, or a node fails.
        """


@runtime_checkable
class StreamingRunner(Runner, Protocol):
    """A runner that can show values while it runs, so that they need not all be in memory."""

    def stream(self, batch: Sequence[Array], observe: Sequence[Value], show: Show) -> None:
        """Run the graph; `show(value, array)` is called as soon as an observed value is there."""


def open_runner(
    graph: Graph,
    table: OperatorTable,
    *,
    optimize: Optimize = "none",
    threads: int | None = None,
    model: onnx.ModelProto | None = None,
) -> Runner:
    """A runner for a graph: PyTorch on FX, onnxruntime on ONNX.

    `optimize` matters on ONNX only; `threads` is by default what PyTorch uses, where it is loaded,
    else the number of cores.  `model` is the ONNX graph as it was written: then that model itself
    is run, not one written anew.
    """
    # Each half imports a large library that work on the other level does without.
    if graph.level == "fx":
        from sparqc.ir.fx.run import FxRunner

        return FxRunner(graph, table)
    from sparqc.ir.onnx.run import OnnxRunner

    return OnnxRunner(graph, table, optimize=optimize, threads=threads, model=model)
