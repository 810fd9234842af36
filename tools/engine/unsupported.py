"""ONNX element types that TensorRT has no counterpart for.

The parser refuses them too, but it writes a line of its own to the terminal when it does.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from sparqc.tools.engine.onnx_source import graph_nodes
from sparqc.tools.engine.report import CompilerMessage

#: What TensorRT's parser takes (as TensorRT-RTX 1.7 was seen to); DOUBLE becomes FLOAT.
_SUPPORTED = {
    "FLOAT",
    "DOUBLE",
    "FLOAT16",
    "BFLOAT16",
    "FLOAT8E4M3FN",
    "FLOAT4E2M1",
    "INT4",
    "INT8",
    "UINT8",
    "INT32",
    "INT64",
    "BOOL",
}

_NAMES: dict[int, str] = {v: k for k, v in onnx.TensorProto.DataType.items()}

#: Attributes that hold an element type.
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")


def unsupported_types(model: onnx.ModelProto) -> tuple[CompilerMessage, ...]:
    """One message for each input, initializer or node whose type cannot be compiled."""
    graph = model.graph
    tensors = [(f"input '{v.name}'", v.type.tensor_type.elem_type) for v in graph.input]
    tensors += [(f"weight '{t.name}'", t.data_type) for t in graph.initializer]
    of_tensors = [
        CompilerMessage(f"{what} has type {_name(code)}, which TensorRT does not know")
        for what, code in tensors
        if not _supported(code)
    ]
    return (*of_tensors, *_of_nodes(graph))


def _of_nodes(graph: onnx.GraphProto) -> Iterator[CompilerMessage]:
    for node in graph_nodes(graph):
        for attribute in node.attribute:
            if attribute.name in _TYPE_ATTRIBUTES and not _supported(attribute.i):
                text = f"makes type {_name(attribute.i)}, which TensorRT does not know"
                yield CompilerMessage(text, node.name, node.op_type)


def _supported(code: int) -> bool:
    # 0 stands for a type that is not written down.
    return code == 0 or _name(code) in _SUPPORTED


def _name(code: int) -> str:
    return _NAMES.get(code, str(code))
