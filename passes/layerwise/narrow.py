"""Where a graph narrows to one value: what stands in front is known behind by that value alone."""

from __future__ import annotations

from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Graph, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import weighted


def narrow_values(graph: Graph, table: OperatorTable) -> list[Value]:
    """The float values that end blocks, in graph order: all that is computed later from the inputs
    follows from the value alone, and a layer with a weight reads it.

    Of a residual block that is the sum behind the branches, never a value inside of one.
    """
    nodes, last = list(graph.nodes), dict[Value, int]()
    for index, node in enumerate(nodes):
        last |= {value: index for value in node.inputs}
    last |= {value: len(nodes) for value in graph.outputs}
    layers = {found.node for found in weighted(graph, table)}
    alive, found = set(graph.inputs), []
    for index, node in enumerate(nodes):
        alive |= {v for v in node.outputs if not is_constant(v, table)}
        alive = {v for v in alive if last.get(v, -1) > index}
        (only,) = alive if len(alive) == 1 else (None,)
        if only is None or only.producer is not node or only.type.dtype not in ("f32", "f16"):
            continue
        if not only.is_output and layers.intersection(only.readers):
            found.append(only)
    return found
