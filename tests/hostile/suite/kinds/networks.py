"""Small ONNX networks that the hostile ones are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F = TensorProto.FLOAT
I64 = TensorProto.INT64


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node; operands in one text, `_` for one that is left out."""
    names = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), name=f"{op}_{outputs}", **attributes)


def info(name: str, dtype: int = F, shape: Sequence[Any] | None = ("b", 4, 8, 8)) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Any] | None = None,
    *,
    inputs: Sequence[Any] | None = None,
    outputs: Sequence[Any] = (),
    opset: int = 17,
    **rest: Any,
) -> onnx.ModelProto:
    """A model of x f32[b, 4, 8, 8]; its output is what the last node gives."""
    held = constants or {}
    stored = [
        v if isinstance(v, TensorProto) else numpy_helper.from_array(np.asarray(v), k)
        for k, v in held.items()
    ]
    last = outputs or [info(nodes[-1].output[0], F, None)]
    graph = helper.make_graph(
        list(nodes), "g", [info("x")] if inputs is None else list(inputs), list(last), stored
    )
    imports = [helper.make_opsetid("", opset), *rest.pop("imports", ())]
    made = helper.make_model(graph, opset_imports=imports, ir_version=rest.pop("ir", 10), **rest)
    _state_shapes(made)
    return made


def _state_shapes(made: onnx.ModelProto) -> None:
    """Give every output a shape, which onnx's checker wants: as inferred, else of four axes."""
    open_ones = [o for o in made.graph.output if not o.type.tensor_type.HasField("shape")]
    open_ones = [o for o in open_ones if o.type.HasField("tensor_type")]
    if not open_ones:
        return
    found: dict[str, Any] = {}
    if len(made.graph.node) < 1000 and not made.functions:
        with suppress(Exception):
            inferred = onnx.shape_inference.infer_shapes(made).graph
            found = {o.name: o.type.tensor_type for o in inferred.output}
    for output in open_ones:
        stated = output.type.tensor_type
        if output.name in found and found[output.name].HasField("shape"):
            stated.shape.CopyFrom(found[output.name].shape)
        else:
            for i in range(4):
                stated.shape.dim.add(dim_param=f"q{i}")


def weight(k: int = 8, c: int = 4, size: int = 3) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.standard_normal((k, c, size, size)).astype(np.float32) / 6


def conv(w: Any = None, *, opset: int = 17, **attributes: Any) -> onnx.ModelProto:
    """A convolution and a ReLU."""
    nodes = [node("Conv", "x w", "y", **attributes), node("Relu", "y", "z")]
    return model(nodes, {"w": weight() if w is None else w}, opset=opset)


def ending(op: str, *constants: Any, opset: int = 17, **attributes: Any) -> onnx.ModelProto:
    """A convolution, and behind it an operator that reads these constants."""
    names = " ".join(f"c{i}" for i in range(len(constants)))
    nodes = [
        node("Conv", "x w", "z", pads=[1, 1, 1, 1]),
        node(op, f"z {names}", "e", **attributes),
    ]
    held = {f"c{i}": c for i, c in enumerate(constants)}
    return model(nodes, {"w": weight(), **held}, opset=opset)


def behind(nodes: Sequence[onnx.NodeProto], constants: Mapping[str, Any], **rest: Any) -> Any:
    """A convolution whose output z is read by the last of some nodes."""
    first = node("Conv", "x w", "z", pads=[1, 1, 1, 1])
    return model([first, *nodes], {"w": weight(), **constants}, **rest)


def f32(*values: Any) -> np.ndarray:
    return np.array(values, np.float32)


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)
