"""Types of ONNX values, through onnx's own shape inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter, dtype_to_onnx

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Graph, Node, TensorType, Value, dtype_name
from sparqc.ir.inferred import Inferred, first_line
from sparqc.ir.onnx.meaning.growth import infers_numbers, sized_graph
from sparqc.ir.onnx.skeleton import SMALL
from sparqc.ir.onnx.types import merged, proto_of_type, type_of_proto
from sparqc.ir.onnx.write import attribute_proto, write_node
from sparqc.ir.vocabulary.onnx_schema import schema_of
from sparqc.ir.vocabulary.operator import Emitted, OnnxEmitter
from sparqc.ir.vocabulary.raw import opsets_of
from sparqc.ir.vocabulary.table import OperatorTable

#: What onnx raises for operands that an operator does not take, such as two types for one.
_REFUSALS = (onnx.shape_inference.InferenceError, onnx.checker.ValidationError)
#: ONNX's own that onnx infers nothing for: each gives a tensor like the one that it reads.
_UNINFERRED = frozenset({"GroupNormalization", "MeanVarianceNormalization"})


def inferred(graph: Graph, node: Node, table: OperatorTable) -> Inferred:
    """The types of a node's outputs, as ONNX infers them for the ONNX nodes it is written as.

    Where the operator cannot be written, or does not take such operands, nothing is known.
    """
    emitter = _InferenceEmitter(opsets_of(graph))
    try:
        write_node(node, table, emitter)
        types = emitter.infer(list(node.inputs))
    except SparqcError:
        return Inferred()
    except _REFUSALS as error:
        return Inferred(refusal=f"onnx: {first_line(error)}")
    return Inferred(tuple(types.get(value.name, TensorType()) for value in node.outputs))


@dataclass
class _InferenceEmitter(OnnxEmitter):
    """An `OnnxEmitter` that keeps the nodes for single-node inference."""

    opsets: Mapping[str, int]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    names: int = 0
    #: What the nodes read; more than the operands, where a weight is written in another layout.
    read: dict[str, Value] = field(default_factory=dict)
    opset: int = field(init=False)

    def __post_init__(self) -> None:
        self.opset = self.opsets[""]

    def add(self, emitted: Emitted) -> None:
        self.read.update((i.name, i) for i in emitted.inputs if isinstance(i, Value))
        self.nodes.append(proto_of_node(emitted, _name, self.opsets))

    def constant(self, array: Array, hint: str) -> str:
        name = self.temp(hint)
        self.arrays[name] = np.asarray(array)
        return name

    def temp(self, hint: str) -> str:
        self.names += 1
        return f"{self.names} {hint}"

    def infer(self, inputs: Sequence[Value]) -> dict[str, TensorType]:
        """The types of everything the nodes define."""
        inputs = [*inputs, *self.read.values()]
        types = {v.name: v.type for v in inputs}
        arrays = self.arrays | {v.name: v.data for v in inputs if v.data is not None}
        for name, array in self.arrays.items():
            types[name] = TensorType(dtype_name(array.dtype), array.shape)
        small = {n: a for n, a in arrays.items() if a.nbytes <= SMALL and a.dtype != object}
        data = {n: onnx.numpy_helper.from_array(a, n) for n, a in small.items()}
        for proto in self.nodes:
            types.update(self.infer_one(proto, types, data))
        return types

    def infer_one(
        self,
        proto: onnx.NodeProto,
        types: Mapping[str, TensorType],
        data: Mapping[str, onnx.TensorProto],
    ) -> Iterator[tuple[str, TensorType]]:
        schema = schema_of(proto.op_type, proto.domain, self.opsets.get(proto.domain, 1))
        known = {n: proto_of_type(types[n]) for n in proto.input if n in types}
        if schema is None or None in known.values():
            return
        if _is_uninferred(proto):
            yield proto.output[0], types.get(proto.input[0], TensorType())
            return
        found = onnx.shape_inference.infer_node_outputs(
            schema,
            proto,
            {n: t for n, t in known.items() if t is not None},
            dict(data),
            opset_imports=[onnx.helper.make_opsetid(d, v) for d, v in self.opsets.items()],
        )
        for name, type_proto in found.items():
            yield name, type_of_proto(type_proto, name)


def _name(operand: Value | str) -> str:
    return operand if isinstance(operand, str) else operand.name


def proto_of_node(
    node: Emitted, name: Callable[[Value | str], str], opsets: Mapping[str, int]
) -> onnx.NodeProto:
    """The same as a NodeProto; `name` gives the names of its tensors."""
    proto = onnx.NodeProto(op_type=node.op_type, domain=node.domain)
    proto.input.extend("" if i is None else name(i) for i in node.inputs)
    proto.output.extend(o and name(o) for o in node.outputs)
    schema = schema_of(node.op_type, node.domain, opsets.get(node.domain, 1))
    proto.attribute.extend(attribute_proto(k, v, schema) for k, v in node.attributes.items())
    return proto


def complete_types(
    surgeon: gs.Graph,
    stated: Mapping[str, TensorType],
    opsets: Mapping[str, int],
    inner: Mapping[str, Array],
) -> dict[str, TensorType]:
    """The types the model states, completed by inference over the whole graph.

    `inner` are the constants that only subgraphs read.  Works on a skeleton: of large tensors only
    the types are looked at.
    """
    graph = onnx.GraphProto(name="types")
    for node in surgeon.nodes:
        tensor = node.attrs.get("value") if node.op == "Constant" else None
        if isinstance(tensor, gs.Constant):
            _add_constant(graph, node.outputs[0].name, tensor)
        else:
            graph.node.append(OnnxExporter.export_node(node))
    graph.input.extend(info_of(t.name, stated[t.name]) for t in surgeon.inputs)
    graph.output.extend(info_of(t.name, stated.get(t.name, TensorType())) for t in surgeon.outputs)
    graph.value_info.extend(
        info_of(n, t) for n, t in stated.items() if proto_of_type(t) is not None
    )
    for tensor in surgeon.tensors().values():
        if isinstance(tensor, gs.Constant):
            _add_constant(graph, tensor.name, tensor)
    for name in inner.keys() - surgeon.tensors().keys():
        _add_constant(graph, name, gs.Constant(name, inner[name]))
    found = inferred_in(graph, opsets)
    names = dict.fromkeys([*stated, *found])
    return {n: merged(stated.get(n, TensorType()), found.get(n, TensorType())) for n in names}


def inferred_in(graph: onnx.GraphProto, opsets: Mapping[str, int]) -> dict[str, TensorType]:
    """The types that ONNX infers for what the nodes of a graph define, by name."""
    imports = [onnx.helper.make_opsetid(d, v) for d, v in opsets.items()]
    for node in filter(_is_uninferred, graph.node):
        alike = onnx.helper.make_node("Identity", node.input[:1], node.output[:1])
        node.CopyFrom(alike)
    model = onnx.helper.make_model(graph, opset_imports=imports)
    numbers = infers_numbers(sized_graph(model))
    found = onnx.shape_inference.infer_shapes(model, data_prop=numbers).graph
    infos = [*found.value_info, *found.output]
    return {info.name: type_of_proto(info.type, info.name) for info in infos}


def _is_uninferred(node: onnx.NodeProto) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in _UNINFERRED


def info_of(name: str, type: TensorType) -> onnx.ValueInfoProto:
    """A tensor of a graph with its type, as far as it is known."""
    info = onnx.ValueInfoProto(name=name)
    proto: Any = proto_of_type(type)
    if proto is not None:
        info.type.CopyFrom(proto)
    return info


def _add_constant(graph: onnx.GraphProto, name: str, constant: gs.Constant) -> None:
    """A tensor that inference may look into, or only the type of a large one."""
    number, shape = dtype_to_onnx(constant.dtype), tuple(constant.shape)
    if int(np.prod(shape)) * 8 > SMALL:
        graph.input.append(onnx.helper.make_tensor_value_info(name, number, shape))
        return
    added = graph.initializer.add()
    added.CopyFrom(OnnxExporter.export_tensor_proto(constant))
    added.name = name
