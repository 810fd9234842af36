"""A model without its large tensors, for the parts of onnx that only look at the structure.

onnx's checker, shape inference and version converter copy the model to C++ and back, and fail
above 2 GB.  On the skeleton they cost nothing, as large initializers stand there as inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
import onnx

#: Tensors of up to so many bytes stay: shapes, axes, pads, scales that inference looks into.
SMALL = 1024


def skeleton_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which large initializers and `Constant`s are graph inputs of their type."""
    bare = onnx.ModelProto()
    copy_fields(model, bare, without=("graph",))
    graph, source = bare.graph, model.graph
    copy_fields(source, graph, without=("initializer", "node"))
    graph.name = graph.name or "graph"
    graph.node.extend(n for n in source.node if large_constant(n) is None)
    graph.initializer.extend(t for t in source.initializer if not _is_large(t))
    known = {i.name for i in graph.input}
    for name, tensor in large_tensors(model):
        if name not in known:
            graph.input.append(_input_of(name, tensor))
    return bare


def shared_weights(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """A copy whose large initializers are said to be external, and their arrays by name: for
    onnxruntime, which takes the arrays as they are, and no message above 2 GB."""
    bare = onnx.ModelProto()
    copy_fields(model, bare, without=("graph",))
    copy_fields(model.graph, bare.graph, without=("initializer",))
    arrays: dict[str, Any] = {}
    for tensor in model.graph.initializer:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        if is_plain(dtype) and _is_large(tensor):
            arrays[tensor.name] = onnx.numpy_helper.to_array(tensor)
            bare.graph.initializer.append(external_stub(tensor, arrays[tensor.name].nbytes))
        else:
            bare.graph.initializer.append(tensor)
    return bare, arrays


def is_plain(dtype: np.dtype[Any]) -> bool:
    """Whether onnxruntime takes an array of that type: numpy's own numbers.

    Types of ml_dtypes are none, though float8_e5m2 says that its kind is "f".
    """
    return dtype.isbuiltin == 1 and dtype.kind in "fiub"


def external_stub(tensor: onnx.TensorProto, size: int) -> onnx.TensorProto:
    """A tensor of that name and type whose bytes are elsewhere."""
    stub = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    stub.data_location = onnx.TensorProto.EXTERNAL
    stub.external_data.add(key="location", value=tensor.name)
    stub.external_data.add(key="length", value=str(size))
    return stub


def large_tensors(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """The tensors that the skeleton leaves out, by the name of the value they define."""
    yield from ((t.name, t) for t in model.graph.initializer if _is_large(t))
    for node in model.graph.node:
        tensor = large_constant(node)
        if tensor is not None:
            yield node.output[0], tensor


def restore(bare: onnx.ModelProto, model: onnx.ModelProto) -> onnx.ModelProto:
    """Put the large tensors of `model` back into (a descendant of) its skeleton."""
    tensors = dict(large_tensors(model))
    declared = {i.name for i in model.graph.input}
    kept = [i for i in bare.graph.input if i.name not in tensors or i.name in declared]
    del bare.graph.input[:]
    bare.graph.input.extend(kept)
    for name, tensor in tensors.items():
        added = bare.graph.initializer.add()
        added.CopyFrom(tensor)
        added.name = name
    return bare


def large_constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """The tensor of a `Constant` node where it is large."""
    if (
        node.op_type != "Constant"
        or len(node.attribute) != 1
        or not node.attribute[0].HasField("t")
    ):
        return None
    tensor: onnx.TensorProto = node.attribute[0].t
    return tensor if _is_large(tensor) else None


def _is_large(tensor: onnx.TensorProto) -> bool:
    # Told from the shape: protobuf cannot tell the size of a tensor above 2 GB.
    if tensor.data_type == onnx.TensorProto.STRING:
        return bool(tensor.ByteSize() > SMALL)
    size = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * prod(tensor.dims)
    return size > SMALL or tensor.data_location == onnx.TensorProto.EXTERNAL


def _input_of(name: str, tensor: onnx.TensorProto) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, tensor.data_type, list(tensor.dims))


def copy_fields(source: Any, target: Any, *, without: Sequence[str]) -> None:
    """Copy the fields of a message that are set, some of them left out."""
    for descriptor, value in source.ListFields():
        name = descriptor.name
        if name in without:
            continue
        if hasattr(value, "extend"):
            getattr(target, name).extend(value)
        elif hasattr(value, "CopyFrom"):
            getattr(target, name).CopyFrom(value)
        else:
            setattr(target, name, value)
