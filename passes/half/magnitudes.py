"""How large values may become, whatever the inputs: INT8 codes bound what is computed from them.

A value behind a DequantizeLinear is no larger than its codes allow, and in an INT8 network nearly
every operator reads such values.  So for most of it no data have to be looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.cut_out import cut_out
from sparqc.ir.graph import Array, Graph, Node, TensorType, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.quantizers import DEQUANTIZE
from sparqc.ir.runner import Runner
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.vocabulary.traits import DATA
from sparqc.ir.weighted import Weighted, weight_of
from sparqc.numerics.finite import largest_magnitude

_CODES = {"i8": 128, "u8": 255}


class Magnitudes:
    """The largest magnitude that each value of an ONNX graph may have, infinite where nothing
    bounds it.

    Of an operator that is monotone it is that at an end of what it reads; of one that multiplies
    by a constant weight the sum of the weight's magnitudes, for each channel, by that of its data.
    Interval arithmetic, as in R. Moore, Interval Analysis, 1966, on intervals [-m, m].
    """

    def __init__(self, graph: Graph, table: OperatorTable) -> None:
        self._table = table
        self._runners: dict[object, Runner] = {}
        self._found: dict[Value, float] = {}
        for node in graph.nodes:
            largest = self._of(node)
            self._found.update((value, largest) for value in node.outputs)

    def of(self, value: Value) -> float:
        """The largest magnitude of a value."""
        if value.data is not None:
            return _largest(value.data)
        return self._found.get(value, math.inf)

    def _of(self, node: Node) -> float:
        if node.op == DEQUANTIZE:
            return self._of_codes(node)
        if found := weight_of(node, self._table):
            return self._of_product(found)
        if node.op == "nn.mul":
            return math.prod(map(self.of, node.inputs))
        data = _data(node)
        if not data or not self._is_largest_at_an_end(node, data):
            return math.inf
        largest = [self.of(v) for v in data]
        if not all(map(math.isfinite, largest)):
            return math.inf
        if self._table.has(node.op, "selects"):
            return max(largest)
        return self._at_the_ends(node, data, largest)

    def _is_largest_at_an_end(self, node: Node, data: Sequence[Value]) -> bool:
        """Whether no result is larger than where all data are as small, or as large, as they are:
        so with monotone operators, and with functions of one number that are homogeneous."""
        if self._table.has(node.op, "monotone"):
            return True
        linear = all(self._table.has(node.op, t) for t in ("elementwise", "homogeneous"))
        return linear and len(data) == 1 == len(node.operands) - _constants(node)

    def _of_codes(self, node: Node) -> float:
        codes, scale, zero = (node.operands.get(slot) for slot in ("x", "scale", "zero_point"))
        assert isinstance(codes, Value) and isinstance(scale, Value)
        most = _CODES.get(codes.type.dtype)
        if most is None or scale.data is None:
            return math.inf
        shift = self.of(zero) if isinstance(zero, Value) else 0.0
        return (most + shift) * _largest(scale.data)

    def _of_product(self, found: Weighted) -> float:
        data, sums = self.of(found.data), self._sums(found)
        bias = self.of(found.bias) if found.bias is not None else 0.0
        return sums * data + bias if math.isfinite(data) else math.inf

    def _sums(self, found: Weighted) -> float:
        """The largest sum of magnitudes of the weight of one output channel."""
        weight, scale = found.weight, np.ones(1)
        if weight.producer is not None and weight.producer.op == DEQUANTIZE:
            codes, step, zero = map(weight.producer.operands.get, ("x", "scale", "zero_point"))
            assert isinstance(codes, Value) and isinstance(step, Value)
            if step.data is None or (isinstance(zero, Value) and self.of(zero)):
                return math.inf
            weight, scale = codes, np.abs(step.data.reshape(-1))
        if (data := weight.data) is None:
            return math.inf
        axes = tuple(a for a in range(data.ndim) if a != found.channel_axis % data.ndim)
        wide = np.int16 if data.dtype.kind == "i" else np.float32
        return _largest(np.abs(data, dtype=wide).sum(axis=axes, dtype=np.float64) * scale)

    def _at_the_ends(self, node: Node, data: Sequence[Value], largest: Sequence[float]) -> float:
        """What a monotone operator gives where all that it reads is as small, or large, as it may
        be: an elementwise one in one place, another on the whole."""
        small = self._table.has(node.op, "elementwise")
        shapes = [
            tuple(1 if small or not isinstance(d, int) else d for d in v.shape or ()) for v in data
        ]
        constants = [id(v.data) for v in node.inputs if v.is_const]
        key = (node.op, repr(node.attributes), *constants, *shapes)
        try:
            if key not in self._runners:
                part = cut_out(node.graph, data, node.outputs)
                for value in (*part.inputs, *(v for n in part.nodes for v in n.outputs)):
                    open_ = (f"size_{axis}" for axis, _ in enumerate(value.shape or ()))
                    value.type = TensorType(value.type.dtype, tuple(open_))
                self._runners[key] = open_runner(part, self._table, shared=False)
            ends = [
                self._runners[key].run(
                    [np.full(s, sign * m, np.float32) for s, m in zip(shapes, largest, strict=True)]
                )[0]
                for sign in (-1, 1)
            ]
        except SparqcError:  # on sizes that it does not take
            return math.inf
        return max(_largest(array) for end in ends for array in end)


def _constants(node: Node) -> int:
    """How many operands are constants, or left out."""
    return sum(v is None or (isinstance(v, Value) and v.is_const) for v in node.operands.values())


def _data(node: Node) -> list[Value]:
    """What an operator reads that is computed, where all of that is data; else nothing."""
    computed = dict.fromkeys(v for v in node.inputs if not v.is_const)
    slots = {slot for v in computed for slot in node.slots_of(v)}
    return list(computed) if slots <= {*DATA} else []


def _largest(array: Array) -> float:
    """The largest magnitude; infinite where an element is no number or infinite."""
    found = largest_magnitude(array) if array.size else 0.0
    return found if math.isfinite(found) else math.inf
