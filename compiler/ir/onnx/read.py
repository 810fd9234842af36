"""From an ONNX model to a `Graph`, through onnx-graphsurgeon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.logger import G_LOGGER

from sparqc.base.reading import damaged
from sparqc.errors import SparqcError
from sparqc.ir.graph import Attribute, Graph, TensorType, Value
from sparqc.ir.onnx.calls import OnnxCall, OnnxCallBuilder
from sparqc.ir.onnx.infer import complete_types
from sparqc.ir.onnx.metadata.provenance import origin_of
from sparqc.ir.onnx.names import Names
from sparqc.ir.onnx.native import OnnxNative
from sparqc.ir.onnx.opset import convert_opset
from sparqc.ir.onnx.order import captured_names, describe, domains_of, sorted_nodes, subgraphs_of
from sparqc.ir.onnx.types import is_complete, is_open, tensor_type
from sparqc.ir.vocabulary.onnx_names import DEFAULT_OPSET, OLDEST_OPSET
from sparqc.ir.vocabulary.onnx_schema import Signature, plain
from sparqc.ir.vocabulary.table import OperatorTable


def read_onnx(model: onnx.ModelProto | gs.Graph, table: OperatorTable) -> Graph:
    """The graph of a model, in the vocabulary of the table.

    Tensors keep their names, initializers and `Constant`s are constants (their arrays are loaded
    once and may be read-only), types come from the model and from shape inference.  An operator
    that no row reads is opaque: `onnx.Einsum`.  A model of an opset below 13 is converted first.
    Raises SparqcError where the model is damaged or uses what graphsurgeon cannot carry.
    """
    if isinstance(model, onnx.ModelProto):
        with damaged("the model"):
            return _read_proto(model, table)
    if any(True for _ in model.subgraphs()):
        # As protos subgraphs can be carried without a change.
        return _read_proto(gs.export_onnx(model), table)
    return _Reader(model, table, OnnxNative(_opsets(model.import_domains, model.opset))).read()


def _read_proto(model: onnx.ModelProto, table: OperatorTable) -> Graph:
    for node in model.graph.node:
        _require_carriable(node)
    if model.graph.sparse_initializer:
        raise SparqcError("the model has sparse initializers", hint="store them as dense tensors")
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    opsets = _opsets(model.opset_import, DEFAULT_OPSET)
    if opsets[""] < OLDEST_OPSET:
        model = convert_opset(model, OLDEST_OPSET)
        opsets = {**opsets, "": OLDEST_OPSET}
    used = {"", *domains_of(model.graph)}
    opsets = {domain: version for domain, version in opsets.items() if domain in used}
    with G_LOGGER.suppress(G_LOGGER.ERROR):
        surgeon = gs.import_onnx(model)
    for node, proto in zip(surgeon.nodes, model.graph.node, strict=True):
        node.origin, node.protos = origin_of(proto), _subgraphs(proto)
    surgeon.nodes = [surgeon.nodes[i] for i in sorted_nodes(model.graph)]
    metadata = tuple((p.key, p.value) for p in model.metadata_props)
    native = OnnxNative(opsets, metadata, model.doc_string)
    return _Reader(surgeon, table, native, _captured_only(model.graph)).read()


def _captured_only(graph: onnx.GraphProto) -> dict[str, np.ndarray[Any, Any]]:
    """The initializers that only subgraphs read: graphsurgeon does not list these."""
    inner = {n for node in graph.node for g in _subgraphs(node).values() for n in captured_names(g)}
    inner -= {name for node in graph.node for name in node.input}
    return {t.name: _array_of(t.name, t) for t in graph.initializer if t.name in inner}


def _opsets(imports: Any, opset: int) -> dict[str, int]:
    found = {"" if i.domain == "ai.onnx" else i.domain: i.version for i in imports or ()}
    return {"": opset, **found}


_QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear"})
_CARRIED = {"FLOAT", "INT", "STRING", "TENSOR", "GRAPH", "FLOATS", "INTS", "STRINGS"}


def _require_carriable(node: onnx.NodeProto) -> None:
    """Refuse what graphsurgeon would drop with nothing but a warning."""
    for attribute in node.attribute:
        kind = onnx.AttributeProto.AttributeType.Name(attribute.type)
        if kind not in _CARRIED:
            raise SparqcError(
                f"{describe(node)} has an attribute {attribute.name!r} of kind {kind.lower()}, "
                "which cannot be carried through",
                hint="export the model without it",
            )
        for graph in subgraphs_of(attribute):
            for inner in graph.node:
                _require_carriable(inner)


def _subgraphs(node: onnx.NodeProto) -> dict[str, onnx.GraphProto]:
    return {a.name: a.g for a in node.attribute if a.HasField("g")}


@dataclass
class _Reader:
    surgeon: gs.Graph
    table: OperatorTable
    native: OnnxNative
    #: The constants that only subgraphs read.
    inner: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    graph: Graph = field(init=False)
    builder: OnnxCallBuilder = field(init=False)
    values: dict[str, Value] = field(default_factory=dict)
    names: Names = field(init=False)
    output_names: frozenset[str] = frozenset()
    types: Mapping[str, TensorType] = field(default_factory=dict)

    def read(self) -> Graph:
        self.graph = Graph("onnx", self.surgeon.name or "graph", native=self.native)
        self.names = Names({*self.surgeon.tensors(), *self.inner})
        fresh = self.names.fresh
        self.builder = OnnxCallBuilder(self.graph, self.table, self.native.opsets, fresh)
        self.output_names = frozenset(t.name for t in self.surgeon.outputs)
        self.types = self.known_types()
        for tensor in self.surgeon.inputs:
            value = self.graph.add_input(tensor.name, self.type(tensor))
            self.values[tensor.name] = self.builder.define(value)
        for node in self.surgeon.nodes:
            with damaged(f"{node.op} {node.name!r}"):
                self.line(node)
        outputs = self.surgeon.outputs
        self.graph.set_outputs([self.value(t) for t in outputs], [t.name for t in outputs])
        self.graph.drop_dead()
        return self.graph

    def line(self, node: gs.Node) -> None:
        if node.op == "Constant" and node.domain in (None, "", "ai.onnx"):
            tensor = node.outputs[0]
            self.constant(tensor.name, self.squeezed(tensor, _constant_data(node)))
        else:
            self.node(node)

    # -- values ----------------------------------------------------------------------------------

    def known_types(self) -> Mapping[str, TensorType]:
        """The types the model states; those of whole-graph inference where one, or the size of a
        dimension that has no name, is missing."""
        stated = {
            t.name: tensor_type(t)
            for t in self.surgeon.tensors().values()
            if isinstance(t, gs.Variable)
        }
        nodes = [n for n in self.surgeon.nodes if n.op != "Constant"]
        outputs = [t.name for n in nodes for t in n.outputs if not t.is_empty()]
        if all(is_complete(stated[name]) and not is_open(stated[name]) for name in outputs):
            return stated
        return complete_types(self.surgeon, stated, self.native.opsets, self.inner)

    def type(self, tensor: gs.Tensor) -> TensorType:
        return self.types.get(tensor.name, TensorType())

    def constant(self, name: str, data: np.ndarray[Any, Any]) -> Value:
        self.values[name] = self.builder.constant(name, data)
        return self.values[name]

    def value(self, tensor: gs.Tensor) -> Value:
        if tensor.name not in self.values:
            if not isinstance(tensor, gs.Constant):
                raise SparqcError(f"the tensor {tensor.name!r} is defined nowhere")
            self.constant(tensor.name, self.squeezed(tensor, _loaded(tensor)))
        return self.values[tensor.name]

    def squeezed(self, tensor: gs.Tensor, data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The scale or zero point of a whole tensor as a scalar: what targets fuse with."""
        if data.shape != (1,) or not tensor.outputs:
            return data
        return (
            data.reshape(()) if all(self.is_of_tensor(n, tensor) for n in tensor.outputs) else data
        )

    def is_of_tensor(self, node: gs.Node, parameter: gs.Tensor) -> bool:
        """Whether it is a quantizer's for a whole tensor, not for the one entry of an axis."""
        if node.op not in _QUANTIZERS or node.inputs[0] is parameter:
            return False
        shape, axis = self.type(node.inputs[0]).shape, int(node.attrs.get("axis", 1))
        if isinstance(node.inputs[0], gs.Constant):
            shape = tuple(node.inputs[0].shape)
        return shape is not None and (not -len(shape) <= axis < len(shape) or shape[axis] != 1)

    # -- nodes -----------------------------------------------------------------------------------

    def node(self, node: gs.Node) -> None:
        domain = "" if node.domain in (None, "ai.onnx") else node.domain
        outputs = self.seen_outputs(node, self.builder.signature(node.op, domain))
        if not outputs:
            return
        names = [t.name or self.names.fresh("omitted") for t in outputs]
        subgraphs = _subgraphs_of(node)
        created = self.builder.call(
            OnnxCall(
                node.op,
                domain,
                [None if t.is_empty() else self.value(t) for t in node.inputs],
                {k: _attribute(node, k, v) for k, v in node.attrs.items() if not _is_graph(v)},
                [(name, self.type(t)) for name, t in zip(names, outputs, strict=True)],
                omitted=frozenset(i for i, t in enumerate(outputs) if t.is_empty()),
                captured=self.captured(subgraphs),
                subgraphs=subgraphs,
                origin=getattr(node, "origin", None),
            )
        )
        self.values.update(zip(names, created.outputs, strict=True))

    def captured(self, subgraphs: Mapping[str, onnx.GraphProto]) -> dict[str, Value]:
        names = dict.fromkeys(n for g in subgraphs.values() for n in captured_names(g))
        for name in names:
            if name in self.inner and name not in self.values:
                self.constant(name, self.inner[name])
            elif name not in self.values:  # an initializer that a later node reads too
                self.value(self.surgeon.tensors()[name])
        return {name: self.values[name] for name in names}

    def seen_outputs(self, node: gs.Node, signature: Signature | None) -> list[gs.Tensor]:
        """The outputs up to the last that is there and, where it is optional, read."""
        kept = list(node.outputs)
        optional = signature.optional_outputs if signature else frozenset()
        while kept and (
            kept[-1].is_empty()
            or (
                len(kept) - 1 in optional
                and not kept[-1].outputs
                and kept[-1].name not in self.output_names
            )
        ):
            kept.pop()
        return kept


def _is_graph(attribute: Any) -> bool:
    return isinstance(attribute, gs.Graph | onnx.GraphProto)


def _subgraphs_of(node: gs.Node) -> Mapping[str, onnx.GraphProto]:
    """As they stood in the model that was read."""
    read: Mapping[str, onnx.GraphProto] = getattr(node, "protos", {})
    return read


def _attribute(node: gs.Node, name: str, value: Any) -> Attribute:
    if isinstance(value, gs.Constant):
        return _loaded(value)
    try:
        return plain(value)
    except (TypeError, UnicodeDecodeError) as error:
        raise SparqcError(f"{node.op} {node.name!r}: attribute {name!r}: {error}") from error


def _loaded(constant: gs.Constant) -> np.ndarray[Any, Any]:
    """The array of a constant, without graphsurgeon's second copy."""
    held = constant._values
    return held if isinstance(held, np.ndarray) else _array_of(constant.name, held.tensor)


def _array_of(name: str, tensor: onnx.TensorProto) -> np.ndarray[Any, Any]:
    try:
        array: np.ndarray[Any, Any] = onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise SparqcError(
            f"the tensor {name!r} is damaged: {error}", hint="export the model anew"
        ) from error
    return array


_CONSTANT_DTYPES = {
    "value_float": np.float32, "value_floats": np.float32, "value_int": np.int64,
    "value_ints": np.int64, "value_string": object, "value_strings": object,
}  # fmt: skip


def _constant_data(node: gs.Node) -> np.ndarray[Any, Any]:
    """The tensor of a `Constant` node in any of its spellings."""
    (name, value), *others = node.attrs.items()
    if others:
        raise SparqcError(f"Constant {node.outputs[0].name!r} has several values")
    return _loaded(value) if name == "value" else np.array(value, _CONSTANT_DTYPES[name])
