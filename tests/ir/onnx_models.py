"""ONNX models made by hand, for tests of the adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

FLOAT = onnx.TensorProto.FLOAT


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Any] | None = None,
    *,
    inputs: Mapping[str, Sequence[Any]] | None = None,
    outputs: Mapping[str, Sequence[Any]] | None = None,
    opset: int = 20,
    more_opsets: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """A model with float inputs and outputs; by default x and y of [batch, 4]."""
    graph = helper.make_graph(
        nodes,
        "made",
        [_info(k, v) for k, v in (inputs or {"x": ["batch", 4]}).items()],
        [_info(k, v) for k, v in (outputs or {"y": ["batch", 4]}).items()],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in (constants or {}).items()],
    )
    imports = [helper.make_opsetid(d, v) for d, v in {"": opset, **(more_opsets or {})}.items()]
    ir_version = helper.find_min_ir_version_for(imports, ignore_unknown=True)
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


def _info(name: str, shape: Sequence[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, FLOAT, shape)


def branching() -> onnx.ModelProto:
    """An If whose branches read x, a constant that nothing else reads, and a computed value."""
    then = helper.make_graph(
        [helper.make_node("Add", ["h", "k"], ["t"])],
        "then",
        [],
        [_info("t", ["batch", 4])],
    )
    otherwise = helper.make_graph(
        [helper.make_node("Mul", ["x", "k"], ["e"])],
        "else",
        [],
        [_info("e", ["batch", 4])],
    )
    return model(
        [
            helper.make_node("Relu", ["x"], ["h"]),
            helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0),
            helper.make_node("Greater", ["top", "zero"], ["positive"]),
            helper.make_node("If", ["positive"], ["y"], then_branch=then, else_branch=otherwise),
        ],
        {"k": np.float32([2, 2, 2, 2]), "zero": np.float32(0)},
    )
