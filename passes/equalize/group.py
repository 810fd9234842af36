"""Layers with nothing but positively homogeneous operators between them.

Where f(s x) = s f(x) for each s > 0, a factor per channel may move from the weights of the layers
in front into those of the layers behind, and the network computes the same.  Through residual Adds
several layers write, and several read, channels with the same factors: that is a group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import Weighted, stored_constant, weighted


@dataclass(eq=False)
class ChannelGroup:
    """Values that have the same factors per channel."""

    channels: int
    #: The values, each with its channel axis.
    axes: dict[Value, int] = field(default_factory=dict)
    #: The layers that write the channels, and those that read them.
    writers: list[Weighted] = field(default_factory=list)
    readers: list[Weighted] = field(default_factory=list)
    #: What a Clip reads, and where it cuts off.
    limits: dict[Value, float] = field(default_factory=dict)
    #: Why there can be no factors; "" where there can.
    reason: str = ""

    @property
    def read(self) -> dict[Value, list[Weighted]]:
        """The values that layers read, each with those layers."""
        found: dict[Value, list[Weighted]] = {}
        for layer in self.readers:
            found.setdefault(cast(Value, layer.node.operands["x"]), []).append(layer)
        return found

    def behind(self, value: Value) -> list[Weighted]:
        """The layers that a value's channels reach, itself or what is made of it."""
        written = {layer.node.output for layer in self.writers}
        reached = [value]
        for at in reached:  # grows on the way
            made = (v for node in at.readers for v in node.outputs if v in self.axes)
            reached += [v for v in dict.fromkeys(made) if v not in written and v not in reached]
        return [r for r in self.readers if r.node.operands["x"] in reached]

    def take(self, other: ChannelGroup) -> None:
        """Become one with another group."""
        if other is self:
            return
        self.axes |= other.axes
        self.writers += other.writers
        self.readers += other.readers
        self.limits |= other.limits
        self.refuse(other.reason)
        self.refuse("" if self.channels == other.channels else "an Add repeats channels")

    def refuse(self, reason: str) -> None:
        """Note why there can be no factors; the first reason stays."""
        self.reason = self.reason or reason


def channel_groups(graph: Graph, table: OperatorTable) -> list[ChannelGroup]:
    """All groups that a layer writes, in the order of the graph."""
    search = _Search(table, {f.node: f for f in weighted(graph, table) if _takes_factors(f)})
    for node in graph.nodes:
        search.visit(node)
    for group in search.groups:
        for layer in group.writers:
            group.refuse(_own_weight(layer) or _own_bias(layer))
        if any(value.is_output for value in group.axes):
            group.refuse("they are an output of the model")
        if not group.readers:
            group.refuse("no layer reads them")
    return search.groups


def layers_without_factors(graph: Graph, table: OperatorTable) -> Iterator[Weighted]:
    """The layers that are in no group, since they do not have the form of those that are."""
    return (found for found in weighted(graph, table) if not _takes_factors(found))


def _takes_factors(layer: Weighted) -> bool:
    """Whether a weight is [K, C / groups, ...], or transposed [C, K / groups, ...], between the
    data x and the bias b."""
    return (layer.spec.data, layer.spec.bias) == ("x", "b")


class _Search:
    """The groups so far, in the order of the nodes."""

    def __init__(self, table: OperatorTable, layers: Mapping[Node, Weighted]) -> None:
        self._table, self._layers = table, layers
        self._of: dict[Value, ChannelGroup] = {}

    @property
    def groups(self) -> list[ChannelGroup]:
        """Each group once, by its first value."""
        return list(dict.fromkeys(self._of.values()))

    def visit(self, node: Node) -> None:
        """Take in a node whose operands were visited."""
        layer = self._layers.get(node)
        known = [v for v in node.inputs if v in self._of]
        if layer is not None:
            self._read(layer, known)
            self._write(layer)
        elif known:
            self._pass(node, known)

    def _read(self, layer: Weighted, known: list[Value]) -> None:
        for value in known:
            group = self._of[value]
            group.readers.append(layer)
            group.refuse(_refusal(layer, value, group) or _own_weight(layer))

    def _write(self, layer: Weighted) -> None:
        output = layer.node.output
        if output.type.rank is None:
            return
        group = ChannelGroup(outputs_of(layer), {output: layer.output_axis}, [layer])
        self._of[output] = group

    def _pass(self, node: Node, known: list[Value]) -> None:
        """An operator that is no layer, and reads values with factors.

        Only an Add takes several of them; elsewhere factors pass from the operand `x` alone.
        """
        if node.op == "nn.add":
            self._add(node)
            return
        for value in known:
            group = self._of[value]
            passed = self._behind(node, value, group)
            if isinstance(passed, str):
                group.refuse(passed)
            elif len(known) > 1:
                group.refuse(f"{node.op} ({name_of(node)!r}) reads several values with factors")
            else:
                self._join(node.output, group, passed)

    def _behind(self, node: Node, value: Value, group: ChannelGroup) -> int | str:
        """The channel axis of what an operator gives; why factors do not pass it otherwise."""
        axis = group.axes[value]
        if node.op != "nn.clip" or node.operands["x"] is not value:
            return _passed(node, value, axis, self._table)
        limit = _clip_limit(node)
        if isinstance(limit, str):
            return limit
        group.limits[value] = min(limit, group.limits.get(value, np.inf))
        return axis

    def _add(self, node: Node) -> None:
        terms = [cast(Value, node.operands[slot]) for slot in ("a", "b")]
        groups = [self._of[v] for v in terms if v in self._of]
        shapes = {v.shape for v in (*terms, node.output)}
        alike = len(shapes) == 1 and None not in shapes
        if len(groups) < len(terms) or not alike:
            for group in groups:
                group.refuse(f"the Add {name_of(node)!r} adds what no layer scales")
            return
        first, second = groups
        if first is not second:
            axes = (first.axes[terms[0]], second.axes[terms[1]])
            first.take(second)
            first.refuse("" if axes[0] == axes[1] else "an Add of other axes")
            self._of |= dict.fromkeys(second.axes, first)
        self._join(node.output, first, first.axes[terms[0]])

    def _join(self, value: Value, group: ChannelGroup, axis: int) -> None:
        group.axes[value] = axis
        self._of[value] = group


def _passed(node: Node, value: Value, axis: int, table: OperatorTable) -> int | str:
    """The channel axis of an operator's output; why factors do not pass it where they do not."""
    refused = f"{node.op} ({name_of(node)!r}) lets no factors pass"
    if not table.has(node.op, "homogeneous") or node.operands.get("x") is not value:
        return refused
    # A PReLU has a slope for each channel, which is not elementwise.
    numbers = table.has(node.op, "elementwise") or node.op == "nn.prelu"
    if numbers and node.output.shape == value.shape:
        return axis
    if table.has(node.op, "spatial") and axis == 1 and value.type.rank != 2:
        return axis
    if table.has(node.op, "view") and axis == 1 and _drops_units(value, node.output):
        return 1
    if table.has(node.op, "reduces"):
        axes = {a % (value.type.rank or 1) for a in cast(tuple[int, ...], node.attributes["axes"])}
        if axis not in axes:
            return axis if node.attributes["keepdims"] else axis - sum(a < axis for a in axes)
    return refused


def _drops_units(value: Value, flat: Value) -> bool:
    """[N, C, 1, 1] becomes [N, C], or the other way round."""
    one, other = value.shape or (), flat.shape or ()
    return len(one) > 1 and one[:2] == other[:2] and {*one[2:], *other[2:]} <= {1}


def _clip_limit(node: Node) -> str | float:
    low, high = (_bound(node.operands[slot]) for slot in ("min", "max"))
    if low not in (0.0, None):
        return f"the Clip {name_of(node)!r} begins at {low}"
    if high is None:
        return np.inf
    return high if high > 0 else f"the Clip {name_of(node)!r} ends at {high}"


def _bound(operand: object) -> float | None:
    """A bound of a Clip; NaN where it is computed."""
    if not isinstance(operand, Value):
        return None
    return float(operand.data) if operand.data is not None else np.nan


def _refusal(layer: Weighted, value: Value, group: ChannelGroup) -> str:
    """Why a layer cannot take factors of what it reads; "" where it can."""
    if layer.node.operands["x"] is not value:
        return f"{name_of(layer.node)!r} reads them as a weight or bias"
    axis = layer.spec.output_axis % (value.type.rank or 1)
    if group.axes[value] != axis or value.shape is None or value.shape[axis] != group.channels:
        return f"{name_of(layer.node)!r} sums over another axis"
    return ""


def _own_weight(layer: Weighted) -> str:
    value: Value | None = layer.weight
    while value is not None:
        if value.reader_count > 1 or value.is_output:
            return f"the weight of {name_of(layer.node)!r} is shared"
        if value.data is not None:
            return ""
        value = _masked(value)
    return f"the weight of {name_of(layer.node)!r} is quantized already"


def _own_bias(layer: Weighted) -> str:
    known = layer.bias is None or (layer.bias.is_const and layer.bias.type.rank == 1)
    return "" if known else f"the bias of {name_of(layer.node)!r} is no constant vector"


def stored_weight(layer: Weighted) -> Value:
    """The constant behind the masks of a layer that may take factors."""
    return cast(Value, stored_constant(layer.weight))


def _masked(value: Value) -> Value | None:
    node = value.producer
    if node is None or node.op != "sparse.mask":
        return None
    return cast(Value, node.operands["w"])


def outputs_of(layer: Weighted) -> int:
    """How many channels a layer writes."""
    shape = layer.weight.shape
    assert shape is not None
    return int(shape[layer.channel_axis]) * (groups_of(layer.node) if layer.channel_axis else 1)


def groups_of(node: Node) -> int:
    """How many groups of channels a layer keeps apart."""
    return int(cast(int, node.attributes.get("groups", 1)))


def by_group(array: Array, layer: Weighted) -> Array:
    """A view of a weight, contiguous, as [groups, outputs, inputs, taps] of one group each."""
    groups = groups_of(layer.node)
    if layer.channel_axis == 1:  # [C, K / groups, ...]
        shape = (groups, array.shape[0] // groups, array.shape[1], -1)
        return array.reshape(shape).swapaxes(1, 2)
    outputs, inputs = array.shape[:2]
    return array.reshape(groups, outputs // groups, inputs, -1)
