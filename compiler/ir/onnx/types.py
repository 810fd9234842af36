"""Types of values: this package's, graphsurgeon's and ONNX's own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import onnx

from sparqc.ir.dtypes import numpy_dtype
from sparqc.ir.graph import TensorType, dtype_name
from sparqc.ir.types import Shape


def element_type(name: str) -> int:
    """ONNX's number for a dtype (TensorProto.DataType), 0 where unknown."""
    dtype = numpy_dtype(name)
    return 0 if dtype is None else int(onnx.helper.np_dtype_to_tensor_dtype(dtype))


@cache
def dtype_of_element(number: int) -> str:
    """The inverse of `element_type`; "?" of 0."""
    return dtype_name(onnx.helper.tensor_dtype_to_np_dtype(number)) if number else "?"


def shape_of(dims: Sequence[int | str | None], name: str) -> Shape:
    """A shape in which every dimension has a size or a name.

    An unknown dimension gets a name of its own, made from the tensor's: two of them never compare
    equal, and none is written to a model.
    """
    known = map(_named_or_known, dims)
    return tuple(f"?{name}.{i}" if d is None else d for i, d in enumerate(known))


def _named_or_known(dim: int | str | None) -> int | str | None:
    """None where a dimension has neither name nor size; runtimes read -1 as free, too."""
    return None if dim is None or dim == "" or (isinstance(dim, int) and dim < 0) else dim


def known_dims(shape: Shape) -> list[int | str | None]:
    """The shape as ONNX writes it: without the names that `shape_of` made up."""
    return [None if isinstance(d, str) and d.startswith("?") else d for d in shape]


def type_of_proto(proto: onnx.TypeProto, name: str) -> TensorType:
    """The type that a TypeProto states for the tensor `name`."""
    if not proto.HasField("tensor_type"):
        return TensorType("list") if proto.WhichOneof("value") else TensorType()
    tensor = proto.tensor_type
    dtype = dtype_of_element(tensor.elem_type)
    if not tensor.HasField("shape"):
        return TensorType(dtype)
    return TensorType(dtype, shape_of([_dim(d) for d in tensor.shape.dim], name))


def _dim(dim: Any) -> int | str | None:
    kind = dim.WhichOneof("value")
    return getattr(dim, kind) if kind else None


def proto_of_type(type: TensorType) -> onnx.TypeProto | None:
    """The TypeProto of a tensor type, None where the dtype is unknown."""
    number = element_type(type.dtype)
    if not number:
        return None
    dims = None if type.shape is None else known_dims(type.shape)
    return onnx.helper.make_tensor_type_proto(number, dims)


def settled(type: TensorType, name: str) -> TensorType:
    """The type as a model states it for the tensor `name`: what is no tensor's is unknown."""
    dtype = numpy_dtype(type.dtype) if element_type(type.dtype) else None
    shape = None if type.shape is None else shape_of(known_dims(type.shape), name)
    return TensorType("?" if dtype is None else dtype_name(dtype), shape)


def is_complete(type: TensorType) -> bool:
    """Whether dtype and rank are known."""
    return type.dtype != "?" and (type.shape is not None or type.dtype == "list")


def is_open(type: TensorType) -> bool:
    """Whether a dimension has neither size nor name, which inference may find."""
    return any(str(d).startswith("?") for d in type.shape or ())


def tensor_type(tensor: Any) -> TensorType:
    """The type that a graphsurgeon Variable states."""
    if tensor.type != "tensor_type":
        return TensorType("list")
    dtype = tensor.dtype
    if dtype is not None:
        dtype = dtype_of_element(dtype) if isinstance(dtype, int) else dtype_name(dtype)
    shape = None if tensor.shape is None else shape_of(tensor.shape, tensor.name)
    return TensorType(dtype or "?", shape)


def merged(stated: TensorType, inferred: TensorType) -> TensorType:
    """What the model states, completed by what inference found out."""
    dtype = stated.dtype if stated.dtype != "?" else inferred.dtype
    if stated.shape is None or inferred.rank != stated.rank or inferred.shape is None:
        return TensorType(dtype, inferred.shape if stated.shape is None else stated.shape)
    pairs = zip(stated.shape, inferred.shape, strict=True)
    return TensorType(dtype, tuple(b if str(a).startswith("?") else a for a, b in pairs))
