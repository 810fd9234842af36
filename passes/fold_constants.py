"""Compute once what does not depend on the inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.levels.constant_results import constant_results, is_deterministic
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context

#: What training and the target look for stays in front of its weight.
KEPT = ("q.", "sparse.")


@register
@dataclass(frozen=True)
class FoldConstants(Pass):
    """Replace what the model computes from weights and other constants by its result.

    Weight normalization and standardization, position tables, biases that are put together of
    parts: behind them a layer has a constant weight again, which can be pruned and quantized.
    Masks and quantizers stay.
    """

    name = "fold-constants"
    preserves = "close"
    #: Results of more elements than this, and than the constants they are made of, stay computed.
    largest: int = 1 << 22

    def run(self, graph: Graph, context: Context) -> int:
        """Compute and replace; returns how many values became constants."""
        nodes = set(self._known(graph))
        border = [
            value
            for node in graph.nodes
            if node in nodes
            for value in node.outputs
            if not nodes.issuperset(value.readers)
        ]
        border = [value for value in border if context.action.decides(value.name)]
        if not border:
            return 0
        results = constant_results(graph, border, context.table)
        names = [_weight_name(value) or value.name for value in border]
        constants = [graph.constant(r, n) for r, n in zip(results, names, strict=True)]
        for value, constant in zip(border, constants, strict=True):
            graph.replace(value, constant)
        graph.drop_dead()
        for constant, name in zip(constants, names, strict=True):
            if name not in graph:
                graph.rename(constant, name)
        return len(border)

    def _known(self, graph: Graph) -> Iterator[Node]:
        """The operators that nothing but constants reaches, in order."""
        unknown = set(graph.inputs)
        for node in graph.nodes:
            if unknown.isdisjoint(node.inputs) and _is_fixed(node) and self._is_small(node):
                yield node
            else:
                unknown.update(node.outputs)

    def _is_small(self, node: Node) -> bool:
        given = max((_size(value) or 0 for value in node.inputs), default=0)
        sizes = [_size(value) for value in node.outputs]
        return all(size is not None and size <= max(given, self.largest) for size in sizes)


def _is_fixed(node: Node) -> bool:
    """Whether an operator may be taken away once it is computed."""
    kept = node.op.startswith(KEPT) or any(value.is_output for value in node.outputs)
    return is_deterministic(node) and not kept and any(True for _ in node.inputs)


def _weight_name(value: Value) -> str:
    """The name of the weight that a parametrization of torch.nn.utils computes; "" of any other.

    Its tensors are called conv.parametrizations.weight.original: the weight is conv.weight.
    """
    names: set[str] = set()
    seen = {value}
    stack = [value]
    while stack:
        current = stack.pop()
        if current.is_const:
            module, _, rest = current.name.rpartition(".parametrizations.")
            names.add(f"{module}.{rest.partition('.')[0]}" if rest and module else "")
        new = set(current.producer.inputs if current.producer else ()) - seen
        seen |= new
        stack += new
    return names.pop() if len(names) == 1 else ""


def _size(value: Value) -> int | None:
    """How many elements a value has, None where that is not known."""
    sizes = value.shape
    if sizes is None or not all(isinstance(size, int) for size in sizes):
        return None
    return prod(size for size in sizes if isinstance(size, int))
