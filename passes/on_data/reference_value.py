"""Which value of the graph as it was read a value of the graph at hand stands for."""

from __future__ import annotations

from sparqc.ir.graph import Graph, Node, Value

#: Operators with constants that rules fold into the layer in front of them.
_FOLDED = {"nn.batch_norm", "nn.mul", "nn.add", "nn.sub", "nn.div"}


def reference_value(value: Value, graph: Graph, reference: Graph) -> Value | None:
    """The value of `reference` that should have the same numbers, None where there is none.

    Values keep their names through rewrites.  A layer into which the operators behind it were
    folded has its own name and the numbers of the last of them: those that are gone from the graph
    are followed.
    """
    if value.name not in reference:
        return None
    found = reference.value(value.name)
    while (behind := only_reader(found)) and _is_folded(behind, graph):
        found = behind.output
    return found if found.type.rank == value.type.rank else None


def only_reader(value: Value) -> Node | None:
    """The operator that alone reads a value, None for another and for a graph output."""
    return value.readers[0] if value.reader_count == 1 and not value.is_output else None


def _is_folded(node: Node, graph: Graph) -> bool:
    variable = [v for v in node.inputs if not v.is_const]
    return node.op in _FOLDED and len(variable) == 1 and node.output.name not in graph
