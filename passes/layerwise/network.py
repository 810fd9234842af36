"""A network that runs up to a place, stops, and goes on later with other weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx

from sparqc.ir.constants import is_constant
from sparqc.ir.fx.schema import map_values
from sparqc.ir.fx.tensor import TORCH_DTYPES, tensor_of
from sparqc.ir.graph import Graph, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.passes.on_data.in_torch import in_torch
from sparqc.passes.on_data.not_in_torch import NotInTorch
from sparqc.rewrite.context import Batch

_HINT = (
    "the weights of this ONNX model cannot be repaired: prune by magnitude without round-weights, "
    "or compile the PyTorch model"
)
#: What is alive at a place, by the name of the fx node.
State = dict[str, Any]


class Network:
    """A graph of either level, ready to run piece by piece in torch, without gradients.

    Later changes of the graph are not seen; `set` tells of them.  Values are known by their names.
    Raises NotInTorch where an operator of an ONNX graph has no form in PyTorch.
    """

    def __init__(self, graph: Graph, table: OperatorTable) -> None:
        graph, self._writer = in_torch(graph, table, _HINT)
        writer = self._writer
        self._nodes = {value.name: node for value, node in writer.nodes.items()}
        self._inputs = [writer.nodes[value].name for value in graph.inputs]
        constant = {
            writer.nodes[v]
            for node in graph.nodes
            for v in node.outputs
            if v in writer.nodes and is_constant(v, table)
        }
        self._order = [n for n in writer.fx.nodes if n.op == "call_function" and n not in constant]
        self._index = {node: i for i, node in enumerate(self._order)}
        self._last = {
            source.name: i for i, node in enumerate(self._order) for source in node.all_input_nodes
        }
        self._fixed: dict[fx.Node, Any] = {}

    def start(self, batch: Batch) -> State:
        """The state in front of everything."""
        return {name: tensor_of(array) for name, array in zip(self._inputs, batch, strict=True)}

    def place(self, value: Value) -> int:
        """How many operators have run when a value is there; 0 for an input."""
        node = self._nodes[value.name]
        return self._index[node] + 1 if node in self._index else 0

    def name(self, value: Value) -> str:
        """What a value is called in a state."""
        return self._nodes[value.name].name

    def get(self, value: Value, state: State) -> Tensor:
        """A value that is there."""
        found: Tensor = self._get(self._nodes[value.name], state)
        return found

    def set(self, value: Value, tensor: Tensor) -> None:
        """Give a constant, or what follows from constants alone, another value from here on: in
        the type of the model, whatever it was computed in."""
        self._fixed[self._nodes[value.name]] = tensor.to(TORCH_DTYPES[value.type.dtype])

    def run(self, state: State, start: int, stop: int, keep: Iterable[str] = ()) -> None:
        """Run the operators from one place to another; what is not read later is forgotten.

        Raises NotInTorch where an operator fails.
        """
        kept = set(keep)
        if stop <= start:
            return
        with torch.no_grad():
            for index in range(start, stop):
                node = self._order[index]
                state[node.name] = self._call(node, state)
                for source in (*node.all_input_nodes, node):
                    if self._last.get(source.name, -1) <= index and source.name not in kept:
                        state.pop(source.name, None)
        self.forget(state, stop, kept)

    def forget(self, state: State, place: int, keep: Iterable[str] = ()) -> None:
        """Drop from a state what no operator behind a place reads."""
        for name in [n for n in state if self._last.get(n, -1) < place and n not in set(keep)]:
            del state[name]

    def _call(self, node: fx.Node, state: State) -> Any:
        args = map_values(node.args, lambda n: self._get(n, state), fx.Node)
        kwargs = map_values(dict(node.kwargs), lambda n: self._get(n, state), fx.Node)
        try:
            return node.target(*args, **kwargs)  # type: ignore[operator]
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            reason = str(error).partition("\n")[0]
            raise NotInTorch(f"%{node.name}: {node.target} fails: {reason}") from error

    def _get(self, node: fx.Node, state: State) -> Any:
        if node.name in state:
            return state[node.name]
        if node not in self._fixed:
            if node.op == "get_attr":
                return self._writer.attribute(str(node.target))
            self._fixed[node] = self._call(node, {})
        return self._fixed[node]
