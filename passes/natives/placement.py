"""What the placement rules ask of a graph beyond the operators they match."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from sparqc.declared.natives import native
from sparqc.ir.graph import Graph, Node, Shape, Value
from sparqc.ir.quantizers import runs_in_int8

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


@native("both_bare")
def both_bare(first: Value, second: Value) -> bool:
    """Whether both inputs of a residual Add come bare from convolutions that read codes: whoever
    placed the quantizers left none in front of the Add."""
    convolutions = (_bare_convolution(first), _bare_convolution(second))
    return all(node is not None and runs_in_int8(node) for node in convolutions)


def _can_be_bare(value: Value) -> bool:
    """Whether the other branch could stay bare too."""
    return _bare_convolution(value) is not None


def _bare_convolution(value: Value) -> Node | None:
    """The convolution that gives a value, perhaps through a BatchNorm, to one reader alone."""
    node = value.producer
    if node is not None and node.op == "nn.batch_norm" and _only_read_here(value):
        value = next(node.inputs)
        node = value.producer
    return node if node is not None and node.op == "nn.conv" and _only_read_here(value) else None


def _only_read_here(value: Value) -> bool:
    return len(value.readers) == 1 and not value.is_output


@native("alike_but_for_batch")
def alike_but_for_batch(part: Shape, whole: Shape) -> bool:
    """Whether two shapes are the same, except that `part` may be one sample for a whole batch."""
    return len(part) == len(whole) and part[1:] == whole[1:] and part[0] in (1, whole[0])


@native("is_spatial_mean")
def is_spatial_mean(axes: tuple[int, ...], rank: int) -> bool:
    """Whether the axes of a mean are all those behind batch and channels of a feature map."""
    return rank >= 4 and {a % rank for a in axes} == set(range(2, rank))
