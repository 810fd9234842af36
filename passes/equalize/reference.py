"""Scale channels of the model as it was read, without changing what it computes.

Passes that compare a graph with the model as it was read find the same values under the same names:
what differs there is what pruning and rounding did.
"""

from __future__ import annotations

import numpy as np

from sparqc.ir.dtypes import numpy_dtype
from sparqc.ir.graph import Graph, Node, Value
from sparqc.numerics.arrays import Floats
from sparqc.passes.equalize.group import ChannelGroup
from sparqc.passes.on_data.reference_value import reference_value


def scale_channels(group: ChannelGroup, factors: Floats, graph: Graph, reference: Graph) -> bool:
    """Multiply what the group's layers write, and divide what its readers read.

    False, and nothing is changed, where the reference has no such values.
    """
    written = [
        (reference_value(w.node.output, graph, reference), group.axes[w.node.output])
        for w in group.writers
    ]
    readers = [(_same(r.node, reference), _axis(group, r.node)) for r in group.readers]
    if any(value is None or value.is_output for value, _ in written):
        return False
    if any(reader is None for reader, _ in readers):
        return False
    for reader, axis in readers:
        assert reader is not None
        x = reader.operands["x"]
        assert isinstance(x, Value)
        reference.set_operand(reader, "x", product(reference, x, 1 / factors, axis, reader))
    for value, axis in written:
        assert value is not None
        _scale(reference, value, factors, axis)
    reference.sort()
    return True


def _same(node: Node, reference: Graph) -> Node | None:
    """The layer of the same name and operator."""
    name = node.output.name
    found = reference.value(name).producer if name in reference else None
    return found if found is not None and found.op == node.op else None


def _axis(group: ChannelGroup, reader: Node) -> int:
    x = reader.operands["x"]
    assert isinstance(x, Value)
    return group.axes[x]


def _scale(graph: Graph, value: Value, factors: Floats, axis: int) -> None:
    """Let all readers of a value take it times the factors, under its name."""
    name = value.name
    graph.rename(value, graph.fresh(f"{name}.unscaled"))
    scaled = product(graph, value, factors, axis, None, name)
    assert scaled.producer is not None
    graph.replace(value, scaled)
    graph.set_operand(scaled.producer, "a", value)


def product(
    graph: Graph,
    value: Value,
    factors: Floats,
    axis: int,
    before: Node | None,
    name: str = "",
) -> Value:
    """A value times factors along one axis."""
    shape = [-1 if a == axis else 1 for a in range(value.type.rank or 0)]
    dtype = numpy_dtype(value.type.dtype) or np.float32
    constant = graph.constant(factors.astype(dtype).reshape(shape), f"{value.name}.factors")
    node = graph.create(
        "nn.mul",
        {"a": value, "b": constant},
        types=[value.type],
        names=[name or f"{value.name}.unscaled"],
        before=before,
    )
    return node.output
