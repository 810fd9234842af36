"""Which axes of a weight are output channels, and which are summed over, in words.

A row says it as a function of its node, since it may depend on an attribute or on the rank.  So the
words are read off random instances of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sparqc.ir.graph import Graph, Node, TensorType, Value, dtype_name
from sparqc.ir.vocabulary.operator import Operator, Sample

_DRAWS = 64


@dataclass(frozen=True)
class WeightAxes:
    """The weight of an operator: an axis is `0`, `-1`, or `1, 0 with transB=1`."""

    operand: str
    channel_axis: str
    reduction_axis: str
    #: The operand that the weight multiplies, and the one that is added.
    data: str
    bias: str | None
    #: The axis of the result that the output channels lie on.
    output_axis: int

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def weight_axes(row: Operator) -> WeightAxes | None:
    """What a row says of its weight; None where it has none, or no samples."""
    spec = row.weight
    if spec is None or row.sample is None:
        return None
    draws = np.random.default_rng(0)
    nodes = [_node(row, row.sample(draws)) for _ in range(_DRAWS)]
    return WeightAxes(
        spec.operand,
        _axis(row, nodes, spec.operand, spec.channel_axis),
        _axis(row, nodes, spec.operand, spec.reduction_axis),
        spec.data,
        spec.bias,
        spec.output_axis,
    )


def _node(row: Operator, sample: Sample) -> Node:
    graph = Graph("fx")

    def value(slot: str, array: Any) -> Any:
        if array is None:
            return None
        if isinstance(array, (list, tuple)):
            return [value(slot, item) for item in array]
        return graph.add_input(slot, TensorType(dtype_name(array.dtype), array.shape))

    operands = {name: value(name, sample.operands[name]) for name in row.operand_names}
    return graph.create(row.name, operands, {**row.attributes, **sample.attributes})  # type: ignore[dict-item]


def _axis(row: Operator, nodes: Sequence[Node], slot: str, axis: Callable[[Node], int]) -> str:
    """The axis, from the front or else from the back, or by the attribute that decides it."""
    for found in ([axis(n) for n in nodes], [axis(n) - _rank(n, slot) for n in nodes]):
        if len({*found}) == 1:
            return str(found[0])
    for name, default in row.attributes.items():
        by_value = _by_value(nodes, name, axis)
        if by_value is not None:
            others = [f"{at} with {name}={v}" for v, at in by_value.items() if v != default]
            return ", ".join([str(by_value[default]), *others])
    return "depends on its operands"


def _by_value(
    nodes: Sequence[Node], name: str, axis: Callable[[Node], int]
) -> Mapping[Any, int] | None:
    """The axis for each value of an attribute; None where it is not this attribute that decides."""
    found: dict[Any, int] = {}
    for node in nodes:
        if found.setdefault(node.attributes[name], axis(node)) != axis(node):
            return None
    return found


def _rank(node: Node, slot: str) -> int:
    weight = node.operands[slot]
    assert isinstance(weight, Value) and weight.type.rank is not None
    return weight.type.rank
