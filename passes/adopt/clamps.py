"""The activations that a quantizer stood for.

A range whose zero point is its lowest code begins at 0: whatever is below becomes 0, as behind a
Relu.
onnxruntime's `quantize_static` deletes each Relu and each Clip in front of an asymmetric quantizer.
A symmetric range repeats none of them, so they come back as operators, before ranges change.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sparqc.ir.dtypes import numpy_dtype
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.adopt.foreign import ANY, FROM_CODES, Grid, data_of

#: The least and the largest number that are left; None: no such end.
_Ends = tuple[float | None, float | None]
#: Where ReLU6 ends, and how far the end of a range in float32 may lie from it.
_SIX, _SAME = 6.0, 1e-5


def restore_clamps(graph: Graph, grids: Mapping[Node, Grid]) -> list[Value]:
    """Put a Relu, a ReLU6 or a Clip in front of each quantizer that does its work.

    The result keeps the name, where nothing else reads what is clamped.  Quantizers of one value
    and the same ends share one.  Returns the values that are clamped now.
    """
    positive: set[Value] = set()
    made: dict[tuple[Value, float | None, float | None], Value] = {}
    for node in list(graph.nodes):
        grid = grids.get(node)
        ends = _ends(grid) if grid is not None and node.op not in FROM_CODES else None
        if ends is not None and _is_clamped(data_of(node), ends, positive):
            source = data_of(node)
            if (source, *ends) not in made:
                made[source, *ends] = _clamp(graph, node, source, *ends)
            for slot in node.slots_of(source):
                graph.redirect(node, slot, source, made[source, *ends])
        if _gives_positive(node, ends, positive):
            positive.update(node.outputs)
    for (source, *_), clamped in made.items():
        _keep_name(graph, source, clamped)
    return list(made.values())


def _ends(grid: Grid) -> _Ends | None:
    """Where a range with its zero point at an end clamps: at least, at most; None for another."""
    if grid.other or not np.isfinite(grid.scale).all() or grid.is_symmetric:
        return None
    if (grid.zero_point == grid.low).all():
        top = (grid.high - grid.low) * grid.scale
        return 0.0, _SIX if np.allclose(top, _SIX, rtol=_SAME, atol=0) else None
    return (None, 0.0) if (grid.zero_point == grid.high).all() else None


def _is_clamped(source: Value, ends: _Ends, positive: set[Value]) -> bool:
    """Whether the quantizer changes more than by rounding what it reads.

    A constant is a weight, and no tool deletes what reads an input of the model.
    """
    if source.is_const or source.producer is None:
        return False
    return not (source in positive and ends == (0.0, None))


def _clamp(graph: Graph, before: Node, x: Value, least: float | None, most: float | None) -> Value:
    operands: dict[str, Value | None] = {"x": x}
    if most is not None:
        dtype = numpy_dtype(x.type.dtype) or np.float32
        for slot, end in (("min", least), ("max", most)):
            known = end is not None
            name = f"{x.name}.{slot}"
            operands[slot] = graph.constant(np.asarray(end, dtype), name) if known else None
    made = graph.create(
        "nn.relu" if most is None else "nn.clip",
        operands,
        types=[x.type],
        names=[f"{x.name}.clamped"],
        before=before,
        origin=x.producer.origin if x.producer else None,
    )
    return made.output


def _gives_positive(node: Node, ends: _Ends | None, positive: set[Value]) -> bool:
    """Whether an operator gives no negative numbers, or codes of such."""
    table = default_table()
    if table.has(node.op, "nonnegative") or (ends is not None and ends[0] == 0):
        return True
    if node.op in ANY:
        return data_of(node) in positive
    if node.op == "nn.clip":
        least = node.operands["min"]
        return isinstance(least, Value) and _is_positive(least, positive)
    # Where no number is below 0, f(x) is not below f(0), which is 0: f(a 0) = a f(0).
    keeps_sign = table.has(node.op, "homogeneous", "monotone") or node.op == "nn.mul"
    return keeps_sign and all(_is_positive(v, positive) for v in node.inputs)


def _is_positive(value: Value, positive: set[Value]) -> bool:
    """Of constants those of integers are sizes and axes."""
    if value.data is None:
        return value in positive
    return value.data.dtype.kind in "iub" or bool((value.data >= 0).all())


def _keep_name(graph: Graph, source: Value, clamped: Value) -> None:
    """Give a clamp the name of what it clamps, where that is read by nothing else."""
    if source.reader_count > 1 or source.is_output:
        return
    name = source.name
    graph.rename(source, graph.fresh(f"{name}.linear"))
    graph.rename(clamped, name)
