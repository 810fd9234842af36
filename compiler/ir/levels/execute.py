"""Running a graph on arrays, at either level, and looking at values inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparqc.ir.graph import Graph
from sparqc.ir.levels.kept import kept_runner
from sparqc.ir.runner import KeptRunner, Optimize, Runner
from sparqc.ir.vocabulary.table import OperatorTable

if TYPE_CHECKING:
    import onnx


def open_runner(
    graph: Graph,
    table: OperatorTable,
    *,
    optimize: Optimize = "none",
    threads: int | None = None,
    model: onnx.ModelProto | None = None,
    shared: bool = True,
) -> Runner:
    """A runner for a graph: PyTorch on FX, onnxruntime on ONNX.

    `optimize` matters on ONNX only; `threads` is by default what PyTorch uses, where it is loaded,
    else the number of cores.  `model` is the ONNX graph as it was written: then that model itself
    is run, not one written anew.

    As long as a graph stays as it is everybody gets the same runner for the same settings, unless
    it is not `shared`.
    """
    if model is None and shared:
        settings = (table, optimize, threads)
        return kept_runner(graph, settings, lambda: _opened(graph, table, optimize, threads, None))
    graph.kept = None  # two sessions at once would take twice the memory
    return _opened(graph, table, optimize, threads, model)


def _opened(
    graph: Graph,
    table: OperatorTable,
    optimize: Optimize,
    threads: int | None,
    model: onnx.ModelProto | None,
) -> KeptRunner:
    # Each half imports a large library that work on the other level does without.
    if graph.level == "fx":
        from sparqc.ir.fx.run import FxRunner

        return FxRunner(graph, table)
    from sparqc.ir.onnx.run import OnnxRunner

    return OnnxRunner(graph, table, optimize=optimize, threads=threads, model=model)
