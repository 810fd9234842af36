"""Which weights and biases that passes have made train: as the user's parameters that they are.

Folding makes a layer's bias of its own bias and of what stands behind it, and a computed weight
becomes a constant; both get names of their own, of which nobody knows whether they train.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sparqc.ir.fx.native import FxNative
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import stored_constant, weight_spec
from sparqc.training.normalization import batch_norm_behind, operand


@dataclass(frozen=True)
class Sources:
    """The names of the constants that a layer is made of."""

    weight: frozenset[str]
    bias: frozenset[str]
    #: What a BatchNorm behind the layer adds.
    offset: frozenset[str]


def sources(graph: Graph, table: OperatorTable) -> dict[str, Sources]:
    """Those of each layer of a captured graph, by the values that it and its BatchNorm define."""
    found: dict[str, Sources] = {}
    for node in graph.nodes:
        slots = _slots(node, table)
        if slots is None:
            continue
        weight, bias = (_constants(operand(node, slot)) for slot in slots)
        behind = batch_norm_behind(node)
        offset = _constants(operand(behind, "bias")) if behind else frozenset()
        made = Sources(weight, bias, offset)
        found |= {part.output.name: made for part in (node, behind) if part is not None}
    return found


def hold_requires_grad(graph: Graph, known: Mapping[str, Sources], table: OperatorTable) -> None:
    """Let the weights and biases of layers train only where the user's parameters do.

    A weight trains where one of the parameters does that it is made of, a bias where one does that
    is added.  A bias of which the user has no parameter trains with the weight.
    """
    native = graph.native
    if not isinstance(native, FxNative):
        return
    tensors, parameters = dict(native.tensors), set(native.parameters)
    for name, trains in _decided(graph, known, native.tensors, table):
        tensors[name] = trains
        if name not in native.tensors:
            parameters.add(name)
    graph.native = replace(native, tensors=tensors, parameters=frozenset(parameters))


def _decided(
    graph: Graph, known: Mapping[str, Sources], tensors: Mapping[str, bool], table: OperatorTable
) -> Iterator[tuple[str, bool]]:
    for node in graph.nodes:
        made, slots = known.get(node.output.name), _slots(node, table)
        if made is None or slots is None:
            continue
        folded = batch_norm_behind(node) is None
        weight = _any_trains(made.weight, tensors, default=True)
        added = made.bias | made.offset if folded else made.bias
        answers = (weight, _any_trains(added, tensors, default=weight))
        for slot, trains in zip(slots, answers, strict=True):
            constant = stored_constant(operand(node, slot))
            if constant is not None and constant.is_const:
                yield constant.name, trains


def _any_trains(names: frozenset[str], tensors: Mapping[str, bool], *, default: bool) -> bool:
    asked = [tensors[name] for name in names if name in tensors]
    return any(asked) if asked else default


def _slots(node: Node, table: OperatorTable) -> tuple[str, str] | None:
    """The operands that hold a layer's weight and its bias."""
    spec = weight_spec(node, table)
    return None if spec is None else (spec.operand, spec.bias or "")


def _constants(value: Value | None) -> frozenset[str]:
    """The constants that a value is computed from."""
    found: set[str] = set()
    stack, seen = [value] if value else [], set()
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        if current.is_const:
            found.add(current.name)
        stack += current.producer.inputs if current.producer else ()
    return frozenset(found)
