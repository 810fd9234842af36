"""The cure of zero points: asymmetric Q/DQ pairs and weights become symmetric INT8."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.quantizers import CONVERSIONS, DEQUANTIZE, QUANTIZE
from sparqc.passes.adopt.clamps import restore_clamps
from sparqc.passes.adopt.foreign import Grid, grid_of

#: The checks that this cures.
SYMMETRIC = frozenset({"quantized_to_uint8", "not_int8", "zero_point_not_zero"})
#: The zero point of uint8 codes that are int8 codes, moved: a rule of its own, and exact.
_MIDDLE = 128


def make_symmetric(graph: Graph) -> Counter[str]:
    """Give asymmetric pairs and weights the symmetric range that holds theirs; no calibration.

    Where a range ended at 0, the Relu or Clip that the quantizer stood for is written in front of
    it.  What else reads codes, such as a pool between Q and DQ, stays as it is.  Returns how often
    each check was cured, by its id.
    """
    grids = {n: g for n in graph.nodes if n.op in CONVERSIONS and (g := _asymmetric(n)) is not None}
    pairs = {node: grid for node, grid in grids.items() if _is_pair(node, grids)}
    weights = {n: g for n, g in grids.items() if n.op == DEQUANTIZE and _codes(n).data is not None}
    restore_clamps(graph, pairs)
    cured = Counter(map(_check, (*pairs, *weights)))
    for node, grid in pairs.items():
        scale = _scale(graph, node, grid.amax / 127)
        for own in (node, *node.output.readers):
            cured[_check(own)] += own is not node
            graph.set_operand(own, "scale", scale)
            graph.set_operand(own, "zero_point", None)
        node.attributes = {**node.attributes, "to": "i8"}
        node.output.type = replace(node.output.type, dtype="i8")
    for node, grid in weights.items():
        _requantize(graph, node, grid)
    return cured


def _asymmetric(node: Node) -> Grid | None:
    """The grid of a converter from or to 8 bits whose zero point is in the way."""
    try:
        grid = grid_of(node)
    except SparqcError:  # computed while the model runs
        return None
    if grid.other or grid.is_symmetric or (grid.low, grid.high) not in ((0, 255), (-128, 127)):
        return None
    return None if grid.low == 0 and (grid.zero_point == _MIDDLE).all() else grid


def _is_pair(node: Node, grids: dict[Node, Grid]) -> bool:
    """Whether the codes of a QuantizeLinear are read by DequantizeLinears of its grid alone."""
    readers = node.output.readers
    return (
        node.op == QUANTIZE
        and not node.output.is_output
        and bool(readers)
        and all(r.op == DEQUANTIZE and r in grids and grids[node].agrees(grids[r]) for r in readers)
    )


def _check(node: Node) -> str:
    """The check that finds a converter."""
    codes = node.output if node.op == QUANTIZE else _codes(node)
    if codes.type.dtype != "u8":
        return "zero-point-not-zero"
    return "quantized-to-uint8" if node.op == QUANTIZE else "not-int8"


def _codes(node: Node) -> Value:
    codes = node.operands["x"]
    assert isinstance(codes, Value)
    return codes


def _scale(graph: Graph, node: Node, scale: NDArray[Any]) -> Value:
    """A scale of the type and shape of the one that stands there."""
    old = node.operands["scale"]
    assert isinstance(old, Value)
    assert old.data is not None
    return graph.constant(scale.reshape(old.data.shape).astype(old.data.dtype), old.name)


def _requantize(graph: Graph, node: Node, grid: Grid) -> None:
    """Move a weight's codes so that their zero is 0; where 127 of them do not reach, round what
    they stand for anew."""
    codes = _codes(node)
    assert codes.data is not None
    moved = codes.data.astype(np.int64) - _along(grid.zero_point, grid, codes.data)
    others = tuple(a for a in range(moved.ndim) if a != grid.axis)
    wider = np.maximum(np.abs(moved).max(axis=others, initial=0) / 127, 1.0)
    rounded = np.rint(moved / _along(wider, grid, moved)).astype(np.int8)
    graph.set_operand(node, "x", graph.constant(rounded, codes.name))
    graph.set_operand(node, "scale", _scale(graph, node, grid.scale * wider))
    graph.set_operand(node, "zero_point", None)


def _along(numbers: NDArray[Any], grid: Grid, array: Array) -> NDArray[Any]:
    """One number for all, or one for each index of the axis."""
    if grid.axis is None:
        return numbers
    return numbers.reshape([-1 if a == grid.axis else 1 for a in range(array.ndim)])
