"""What the placement rules ask of a graph beyond the operators they match."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from sparqc.ir.graph import Graph, Value
from sparqc.natives import native

#: Below this many channels a convolution's INT8 kernel is slower than its half-precision one.
FEW_CHANNELS = 16
#: The fewest channels from which a depthwise convolution is worth running in INT8.
FEW_DEPTHWISE_CHANNELS = 32

_depths: WeakKeyDictionary[Graph, tuple[int, dict[Value, int]]] = WeakKeyDictionary()


def depths(graph: Graph) -> dict[Value, int]:
    """For each node output the number of operators on the longest path to it from an input.

    Kept as long as the graph does not change, so that asking for every Add stays linear.
    """
    version, table = _depths.get(graph, (-1, {}))
    if version != graph.version:
        table = {}
        for node in graph.nodes:
            depth = 1 + max((table.get(v, 0) for v in node.inputs), default=0)
            table.update(dict.fromkeys(node.outputs, depth))
        _depths[graph] = graph.version, table
    return table


@native("bare_branch")
def bare_branch(branch: Value, other: Value) -> bool:
    """Whether `branch` is the input of a residual Add that stays bare, given the `other` one.

    Of two branches the one on the longer path to their common ancestor stays bare.  The part above
    the ancestor is common to both, so the branch whose value lies deeper in the graph has the
    longer path.  Between equally long ones the names decide, which depends neither on the order of
    the Add's operands nor on the order of the nodes.
    """
    if branch.producer is None or not _can_be_bare(other):
        return True
    table = depths(branch.producer.graph)
    if table[branch] != table[other]:
        return table[branch] > table[other]
    return (len(branch.name), branch.name) > (len(other.name), other.name)


def _can_be_bare(value: Value) -> bool:
    """Whether the other branch could stay bare too: a convolution that only the Add reads."""
    node = value.producer
    if node is not None and node.op == "nn.batch_norm" and _only_read_here(value):
        value = next(node.inputs)
        node = value.producer
    return node is not None and node.op == "nn.conv" and _only_read_here(value)


def _only_read_here(value: Value) -> bool:
    return len(value.readers) == 1 and not value.is_output


@native("int8_channels")
def int8_channels(weight: Sequence[int], groups: int, first: bool) -> bool:
    """Whether a convolution of this weight shape [K, C / groups, ...] has a good INT8 kernel.

    Ungrouped: C and K of at least 16, or a square first convolution with K % 8 == 0.  Depthwise:
    from 32 channels.  Otherwise grouped: channels per group a multiple of 4.
    """
    outputs, inputs = weight[0], weight[1]
    if groups == 1:
        square = first and len(weight) == 4 and weight[2] == weight[3] and outputs % 8 == 0
        return square or min(outputs, inputs) >= FEW_CHANNELS
    if inputs == 1 and outputs == groups:
        return groups >= FEW_DEPTHWISE_CHANNELS
    return inputs % 4 == 0 and (outputs // groups) % 4 == 0
