"""Stored numbers that nothing can be computed with: weights and scales that are not finite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx

from sparqc.ir.onnx.external import external_data
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


def weight_faults(
    model: onnx.ModelProto, folder: Path | None = None
) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Each node that reads a parameter with a NaN or an infinity, and what is wrong with it; in
    external data, where their folder is given."""
    for node, name, array in _read(model, _PARAMETERS, folder):
        # The sum is not finite where one number is not, and is taken without another array.
        if not np.isfinite(array.sum(dtype=np.float64)) and not np.isfinite(array).all():
            what = "NaN" if np.isnan(array).any() else "an infinity"
            yield node, f"its weight {name!r} holds {what}"


def scale_faults(
    model: onnx.ModelProto, folder: Path | None = None
) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Each quantizer whose scale is not a positive finite number."""
    for node, name, array in _read(model, _SCALES, folder):
        wrong = array[~(np.isfinite(array) & (array > 0))]
        if wrong.size:
            yield node, f"its scale {name!r} is no positive finite number: {wrong.flat[0]}"


def axis_faults(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Each quantizer of a stored weight that has another number of scales than its axis has
    entries; the axis is 1 where none is written."""
    for node, (x, scale, _), attributes in _quantizers(model):
        if "block_size" in attributes or scale is None or prod(scale) == 1:
            continue
        axis = attributes.get("axis", 1)
        if len(scale) != 1:
            yield node, f"its scales have the shape {list(scale)}, and no block_size"
        elif x is not None and (not -len(x) <= axis < len(x) or x[axis] != scale[0]):
            yield node, f"its {scale[0]} scales do not fit axis {axis} of {list(x)}"


def block_faults(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Each quantizer whose zero points are not as many as its scales, or whose blocks do not fit
    the stored weight."""
    for node, (x, scale, zero), attributes in _quantizers(model):
        block, axis = attributes.get("block_size", 0), attributes.get("axis", 1)
        if scale is not None and zero is not None and prod(scale) != prod(zero):
            yield node, f"it has {prod(scale)} scales and {prod(zero)} zero points"
        elif block < 0:
            yield node, f"block_size is {block}"
        elif block and x is not None and scale is not None and _blocks(x, axis, block) != scale:
            yield node, f"scales of {list(scale)} are no blocks of {block} of {list(x)}"


def _blocks(x: _Dims, axis: int, block: int) -> _Dims:
    """The shape of the scales of a weight in blocks; empty where there is no such axis."""
    if not -len(x) <= axis < len(x):
        return ()
    sizes = list(x)
    sizes[axis] = -(-x[axis] // block)
    return tuple(sizes)


def _quantizers(
    model: onnx.ModelProto,
) -> Iterator[tuple[onnx.NodeProto, tuple[_Dims | None, ...], dict[str, int]]]:
    """The shapes of the stored operands, and the attributes, of each."""
    shapes = {t.name: tuple(t.dims) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in _SCALES:
            operands = (*(shapes.get(name) for name in node.input), None, None, None)[:3]
            yield node, operands, {a.name: a.i for a in node.attribute}


def _read(
    model: onnx.ModelProto, operands: Mapping[str, tuple[int, ...]], folder: Path | None
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
            if tensor is not None and name not in seen and tensor.data_type in _FLOATS:
                seen.add(name)
                with suppress(ValueError, TypeError):  # damaged: who reads the graph says so
                    array = _array(tensor, folder)
                    if array is not None:
                        yield node, name, array


def _array(tensor: onnx.TensorProto, folder: Path | None) -> Any:
    """The numbers of a tensor, where they are in the model or in a file of that folder; external
    ones stay in their file."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return onnx.numpy_helper.to_array(tensor)
    if folder is None:
        return None
    place = external_data(tensor, folder)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return np.memmap(place.file, dtype, "r", place.offset, tuple(tensor.dims))
