"""Run a graph of the FX level with torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx

from sparqc.errors import SparqcError
from sparqc.ir.constants import constant_expressions
from sparqc.ir.fx.schema import map_values
from sparqc.ir.fx.tensor import array_of, tensor_of
from sparqc.ir.fx.write import Writer
from sparqc.ir.graph import Array, Graph, Value
from sparqc.ir.runner import Edit, Show
from sparqc.ir.vocabulary.table import OperatorTable


class FxRunner:
    """A graph made ready to run: on the CPU, without gradients.

    Later changes of the graph's structure are not seen; the constants are shared.
    """

    def __init__(self, graph: Graph, table: OperatorTable) -> None:
        self._graph = graph
        self._writer = Writer(graph, table)
        self._order = list(self._writer.fx.nodes)
        self._last = _last_uses(self._order)
        #: What follows from constants alone (masked weights), computed at the first run.
        self._constant = {
            self._writer.nodes[v]
            for v in constant_expressions(graph, table)
            if v in self._writer.nodes
        }
        #: What of it is read on the way to it only: it is not kept, and not computed again.
        self._inner = {n for n in self._constant if n.users and self._constant.issuperset(n.users)}
        self._constants: dict[fx.Node, Any] = {}

    def run(
        self, batch: Sequence[Array], observe: Sequence[Value] = ()
    ) -> tuple[list[Array], list[Array]]:
        """The outputs for one batch, and the values to observe.

        `batch` holds an array for each graph input.  Raises SparqcError where it does not, and
        where a call fails, naming the operator.
        """
        wanted = [*self._graph.outputs, *observe]
        kept = {self._writer.nodes[v] for v in wanted if v in self._writer.nodes}
        results = self._walk(batch, kept, {})
        arrays = [self._result(value, results) for value in wanted]
        return arrays[: len(self._graph.outputs)], arrays[len(self._graph.outputs) :]

    def refresh(self) -> None:
        """Forget what was computed from constants alone."""
        self._constants.clear()

    def stream(self, batch: Sequence[Array], observe: Sequence[Value], show: Show) -> None:
        """Run one batch, and show each observed value when it is there; none of them is kept."""

        def shower(value: Value) -> Callable[[Any], None]:
            return lambda result: show(value, array_of(result, value.name))

        self._walk(batch, set(), {self._writer.nodes[v]: shower(v) for v in observe})

    def edit(self, batch: Sequence[Array], edited: Sequence[Value], change: Edit) -> None:
        """Run one batch; what `change(value, array)` gives for an edited value is what its readers
        get.  The array is not to be changed itself."""

        def changer(value: Value) -> Callable[[Any], Any]:
            return lambda result: tensor_of(change(value, array_of(result, value.name)))

        self._walk(batch, set(), {self._writer.nodes[v]: changer(v) for v in edited})

    def _walk(
        self,
        batch: Sequence[Array],
        kept: set[fx.Node],
        shown: Mapping[fx.Node, Callable[[Any], Any]],
    ) -> dict[fx.Node, Any]:
        """Run one batch; what a function of `shown` gives replaces what it was shown."""
        if len(batch) != len(self._graph.inputs):
            raise SparqcError(
                f"the model takes {len(self._graph.inputs)} inputs, the batch has {len(batch)}"
            )
        results: dict[fx.Node, Any] = {
            self._writer.nodes[value]: tensor_of(np.asarray(array))
            for value, array in zip(self._graph.inputs, batch, strict=True)
        }
        known = bool(self._constants) and self._inner.isdisjoint((*kept, *shown))
        for node in self._order:
            if known and node in self._inner:
                continue
            if node.op == "get_attr":
                results[node] = self._writer.attribute(str(node.target))
            elif node.op == "call_function":
                results[node] = self._computed(node, results)
            if node in shown:
                changed = shown[node](results[node])
                results[node] = results[node] if changed is None else changed
            for done in self._last.get(node, ()):
                if done not in kept:
                    results.pop(done, None)
        return results

    def _computed(self, node: fx.Node, results: dict[fx.Node, Any]) -> Any:
        if node in self._constants:
            return self._constants[node]
        with torch.no_grad():
            result = _call(node, results)
        if node in self._constant and node not in self._inner:
            self._constants[node] = result
        return result

    def _result(self, value: Value, results: dict[fx.Node, Any]) -> Array:
        if value not in self._writer.nodes:
            if value.data is None:
                raise SparqcError(f"%{value.name} is not in the graph that runs")
            return value.data
        result = results[self._writer.nodes[value]]
        return (
            array_of(result, value.name) if isinstance(result, torch.Tensor) else np.array(result)
        )


def _last_uses(order: Sequence[fx.Node]) -> dict[fx.Node, list[fx.Node]]:
    """What can be forgotten after each node: tensors are large, and calibration runs on many."""
    last: dict[fx.Node, fx.Node] = {}
    for node in order:
        for source in (*node.all_input_nodes, node):
            last[source] = node
    done: dict[fx.Node, list[fx.Node]] = {}
    for source, node in last.items():
        if node.op != "output":
            done.setdefault(node, []).append(source)
    return done


def _call(node: fx.Node, results: dict[fx.Node, Any]) -> Any:
    args = map_values(node.args, results.__getitem__, fx.Node)
    kwargs = map_values(dict(node.kwargs), results.__getitem__, fx.Node)
    try:
        return node.target(*args, **kwargs)  # type: ignore[operator]
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        shapes = ", ".join(str(list(a.shape)) for a in args if isinstance(a, torch.Tensor))
        raise SparqcError(
            f"%{node.name}: {node.target} fails on {shapes or 'its arguments'}: {error}"
        ) from error
