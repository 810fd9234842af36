"""Run a graph and change values on the way: what stands behind them sees the change.

On FX the runner does that by itself.  An ONNX graph is cut behind each of the values, and its parts
run one after the other, each in an onnxruntime session of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sparqc.ir.cut_out import cut_out
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.runner import Edit, Runner
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.rewrite.context import Batch


class Stepper(Protocol):
    """A graph that is ready to run in steps."""

    def run(self, batch: Batch, change: Edit) -> None:
        """Run one batch as far as the last of the values; see `sparqc.ir.runner.Edit`."""


def open_stepper(graph: Graph, values: Sequence[Value], table: OperatorTable) -> Stepper:
    """A graph whose given values, each made by a node, are to be changed while it runs.

    The graph must not change while the stepper is in use.
    """
    if graph.level == "fx":
        return _FxStepper(graph, values, table)
    return _Parts(graph, values, table)


class _FxStepper:
    def __init__(self, graph: Graph, values: Sequence[Value], table: OperatorTable) -> None:
        from sparqc.ir.fx.run import FxRunner  # torch takes seconds to import

        self._runner, self._values = FxRunner(graph, table), values

    def run(self, batch: Batch, change: Edit) -> None:
        self._runner.edit(batch, self._values, change)


@dataclass(frozen=True)
class _Part:
    """A stretch of nodes: what it reads, what it gives to later parts, the value at its end."""

    runner: Runner
    reads: list[Value]
    gives: list[Value]
    last: Value
    #: What no later part reads.
    done: list[Value]


class _Parts:
    def __init__(self, graph: Graph, values: Sequence[Value], table: OperatorTable) -> None:
        self._inputs = graph.inputs
        stretches = _stretches(graph, set(values))
        needs = [_needs(stretch) for stretch in stretches]
        made = [{v for node in stretch for v in node.outputs} for stretch in stretches]
        self._parts: list[_Part] = []
        for index, stretch in enumerate(stretches):
            later = set().union(*needs[index + 1 :])
            last = next(v for v in stretch[-1].outputs if v in set(values))
            gives = [v for node in stretch for v in node.outputs if v in later or v is last]
            reads = [v for v in needs[index] if v not in made[index]]
            done = [v for v in [*reads, *gives] if v not in later]
            part = cut_out(graph, reads, gives)
            self._parts.append(_Part(open_runner(part, table), reads, gives, last, done))

    def run(self, batch: Batch, change: Edit) -> None:
        arrays: dict[Value, Array] = dict(zip(self._inputs, batch, strict=True))
        for part in self._parts:
            found, _ = part.runner.run([arrays[v] for v in part.reads])
            arrays.update(zip(part.gives, found, strict=True))
            arrays[part.last] = change(part.last, arrays[part.last])
            for value in part.done:
                arrays.pop(value, None)


def _stretches(graph: Graph, values: set[Value]) -> list[list[Node]]:
    """The nodes in order, cut behind each node that makes one of the values."""
    stretches: list[list[Node]] = [[]]
    for node in graph.nodes:
        stretches[-1].append(node)
        if values & set(node.outputs):
            stretches.append([])
    return stretches[:-1]


def _needs(stretch: Sequence[Node]) -> dict[Value, None]:
    """What the nodes read that is not constant, in order."""
    return {v: None for node in stretch for v in node.inputs if not v.is_const}
