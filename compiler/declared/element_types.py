"""ONNX element types that a target's parser has no counterpart for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx

from sparqc.declared.targets import Profile
from sparqc.ir.onnx.order import subgraphs_of

_NAMES: dict[int, str] = {v: k for k, v in onnx.TensorProto.DataType.items()}
#: Attributes that hold an element type.
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")


@dataclass(frozen=True)
class UnreadType:
    """An input, an initializer or the result of a node in such a type."""

    #: ONNX's name of it: `INT16`.
    type: str
    #: The input or the initializer, "" where a node makes it.
    tensor: str = ""
    node: onnx.NodeProto | None = None


def unread_types(model: onnx.ModelProto, target: Profile) -> Iterator[UnreadType]:
    """What of a model has a type that the target does not read, in subgraphs too."""
    graph = model.graph
    tensors = [(v.name, v.type.tensor_type.elem_type) for v in graph.input]
    tensors += [(t.name, t.data_type) for t in graph.initializer]
    for name, code in dict.fromkeys(tensors):
        if not _is_read(code, target):
            yield UnreadType(_name(code), name)
    yield from _of_nodes(graph, target)


def _of_nodes(graph: onnx.GraphProto, target: Profile) -> Iterator[UnreadType]:
    for node in graph.node:
        for attribute in node.attribute:
            code = attribute.t.data_type if attribute.HasField("t") else 0
            if attribute.name in _TYPE_ATTRIBUTES:
                code = attribute.i
            if not _is_read(code, target):
                yield UnreadType(_name(code), node=node)
            for inner in subgraphs_of(attribute):
                yield from _of_nodes(inner, target)


def _is_read(code: int, target: Profile) -> bool:
    # 0 stands for a type that is not written down.
    return not target.element_types or code == 0 or _name(code) in target.element_types


def _name(code: int) -> str:
    return _NAMES.get(code, str(code))
