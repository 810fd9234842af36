"""The inputs of an ONNX model."""

from __future__ import annotations

import onnx

from sparqc.ir.input_shapes import InputSpec


def input_specs(model: onnx.ModelProto) -> tuple[InputSpec, ...]:
    """The inputs that a caller feeds: graph inputs that no initializer gives a value to."""
    constants = {i.name for i in model.graph.initializer}
    return tuple(_spec(v) for v in model.graph.input if v.name not in constants)


def _spec(value: onnx.ValueInfoProto) -> InputSpec:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return InputSpec(value.name, None)
    return InputSpec(value.name, tuple(_dim(d) for d in tensor.shape.dim))


def _dim(dim: onnx.TensorShapeProto.Dimension) -> int | str:
    return dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else dim.dim_param
