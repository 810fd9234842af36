"""Stored numbers that nothing can be computed with: weights and scales that are not finite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from math import prod
from typing import Any, TypeAlias

import numpy as np
import onnx

from sparqc.ir.onnx.order import sorted_nodes

_Dims: TypeAlias = tuple[int, ...]

#: The operands that hold the parameters of an operator.  Elsewhere an infinity has a meaning: masks
#: of attention and the limits of a Clip are made with it.
_PARAMETERS: Mapping[str, tuple[int, ...]] = {
    "Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (0, 1, 2), "MatMul": (0, 1),
    "BatchNormalization": (1, 2, 3, 4), "InstanceNormalization": (1, 2), "PRelu": (1,),
    "LayerNormalization": (1, 2), "GroupNormalization": (1, 2),
    "LSTM": (1, 2, 3), "GRU": (1, 2, 3), "RNN": (1, 2, 3),
}  # fmt: skip
#: What gives the numbers of its first operand, in another shape or order.
_MOVING = frozenset({"Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast"})
_SCALES: Mapping[str, tuple[int, ...]] = {"QuantizeLinear": (1,), "DequantizeLinear": (1,)}
_FLOATS = frozenset(
    onnx.TensorProto.DataType.Value(n) for n in ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")
)


def weight_faults(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Each node that reads a parameter with a NaN or an infinity, and what is wrong with it."""
    for node, name, array in _read(model, _PARAMETERS):
        # The sum is not finite where one number is not, and is taken without another array.
        if not np.isfinite(array.sum(dtype=np.float64)) and not np.isfinite(array).all():
            what = "NaN" if np.isnan(array).any() else "an infinity"
            yield node, f"its weight {name!r} holds {what}"


def scale_faults(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Each quantizer whose scale is not a positive finite number."""
    for node, name, array in _read(model, _SCALES):
        wrong = array[~(np.isfinite(array) & (array > 0))]
        if wrong.size:
            yield node, f"its scale {name!r} is no positive finite number: {wrong.flat[0]}"


def axis_faults(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Each quantizer whose scales and zero points do not fit each other, or the axis of a stored
    weight; the axis is 1 where none is written."""
    shapes = {t.name: tuple(t.dims) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in _SCALES:
            x, scale, zero = (*(shapes.get(name) for name in node.input), None, None, None)[:3]
            attributes = {a.name: a.i for a in node.attribute}
            message = _scale_fault(x, scale, zero, attributes)
            if message:
                yield node, message


def _scale_fault(
    x: _Dims | None, scale: _Dims | None, zero: _Dims | None, attributes: Mapping[str, int]
) -> str:
    block, axis = attributes.get("block_size", 0), attributes.get("axis", 1)
    if block < 0:
        return f"block_size is {block}"
    if scale is None:
        return ""
    if zero is not None and prod(zero) != prod(scale):
        return f"its scales have the shape {list(scale)}, its zero points {list(zero)}"
    if not block and len(scale) > 1 and prod(scale) != 1:
        return f"its scales have the shape {list(scale)}, and no block_size"
    if x is None or (not block and prod(scale) == 1):
        return ""
    if not -len(x) <= axis < len(x):
        return f"its {prod(scale)} scales do not fit axis {axis} of {list(x)}"
    count = -(-x[axis] // block) if block else x[axis]
    if not scale or (scale[axis] if block and len(scale) == len(x) else scale[0]) != count:
        return f"its {prod(scale)} scales do not fit axis {axis} of {list(x)}"
    return ""


def _read(
    model: onnx.ModelProto, operands: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[onnx.NodeProto, str, Any]]:
    """The stored floats that such operands are, each once."""
    stored = {t.name: t for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            stored.update((node.output[0], a.t) for a in node.attribute if a.HasField("t"))
    for index in sorted_nodes(model.graph):
        node = model.graph.node[index]
        if node.op_type in _MOVING and node.input[0] in stored:
            stored[node.output[0]] = stored[node.input[0]]
    seen = set()
    for node in model.graph.node:
        for name in (node.input[i] for i in operands.get(node.op_type, ()) if i < len(node.input)):
            tensor = stored.get(name)
            if tensor is not None and name not in seen and _is_here(tensor):
                seen.add(name)
                with suppress(ValueError, TypeError):  # damaged: who reads the graph says so
                    yield node, name, onnx.numpy_helper.to_array(tensor)


def _is_here(tensor: onnx.TensorProto) -> bool:
    inside = tensor.data_location != onnx.TensorProto.EXTERNAL
    return inside and tensor.data_type in _FLOATS
