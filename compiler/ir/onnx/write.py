"""From a `Graph` to an ONNX model, through onnx-graphsurgeon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.ir.tensor import LazyValues
from onnx_graphsurgeon.logger import G_LOGGER

from sparqc.errors import NoForm
from sparqc.ir.dtypes import numpy_dtype
from sparqc.ir.graph import Array, Attribute, Graph, Node, Origin, TensorType, Value
from sparqc.ir.onnx.metadata.provenance import METADATA_IR, add_origin
from sparqc.ir.onnx.names import Names
from sparqc.ir.onnx.native import OnnxNative, OnnxRaw
from sparqc.ir.onnx.order import captured_names, domains_of, renamed_captures
from sparqc.ir.onnx.same_form import require_same_form
from sparqc.ir.onnx.skeleton import SMALL, external_stub, is_plain
from sparqc.ir.onnx.types import element_type, known_dims
from sparqc.ir.uncalibrated import is_uncalibrated, source
from sparqc.ir.vocabulary.onnx_names import CAPTURED, split_name
from sparqc.ir.vocabulary.onnx_schema import plain, schema_of
from sparqc.ir.vocabulary.operator import Emitted, OnnxEmitter
from sparqc.ir.vocabulary.raw import opsets_of
from sparqc.ir.vocabulary.table import OperatorTable


def write_onnx(
    graph: Graph, table: OperatorTable, *, opset: int | None = None, origins: bool = True
) -> onnx.ModelProto:
    """The model of a graph: inputs and outputs keep their names, nodes are named after what they
    define, and with `origins` carry where they come from as metadata, for which the file has
    version 10 of the IR at least.

    `opset` is the version of ONNX's operators, by default the one the graph was read with.
    Raises SparqcError where an operator has no form in ONNX, or none in that opset.
    """
    written = write_surgeon(graph, table, opset=opset)
    arrays = _take_data(written)
    model = _export(written, origins)
    for tensor in model.graph.initializer:
        _fill(tensor, arrays[tensor.name])
    return model


def write_shared(written: Written) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A model whose large initializers are said to be external, and their arrays by name.

    For onnxruntime, which then takes the arrays as they are instead of copies.
    """
    arrays = _take_data(written)
    model = _export(written)
    shared = {n: a for n, a in arrays.items() if a.nbytes > SMALL and is_plain(a.dtype)}
    for tensor in model.graph.initializer:
        if tensor.name in shared:
            tensor.CopyFrom(external_stub(tensor, shared[tensor.name].nbytes))
        else:
            _fill(tensor, arrays[tensor.name])
    return model, shared


@dataclass(frozen=True)
class Written:
    """A graph as graphsurgeon has it; constants are the very arrays of the graph."""

    surgeon: gs.Graph
    #: The tensor that each value became.
    names: Mapping[Value, str]
    native: OnnxNative
    #: The constants that subgraphs read: graphsurgeon does not see that they are needed.
    captured: Mapping[str, Array]


def write_surgeon(
    graph: Graph,
    table: OperatorTable,
    *,
    opset: int | None = None,
    pass_uncalibrated: bool = False,
) -> Written:
    """The graph in graphsurgeon's form.

    A quantizer that has no scale yet (NaN) is an error, or an Identity with `pass_uncalibrated`.
    """
    opsets = dict(opsets_of(graph))
    writer = _Writer(opsets if opset is None else {**opsets, "": opset}, dict(opsets))
    writer.name_values(graph)
    for node in graph.nodes:
        if pass_uncalibrated and is_uncalibrated(node):
            writer.write_identity(node)
        else:
            writer.write(node, table)
    return writer.finish(graph)


def write_node(node: Node, table: OperatorTable, emitter: OnnxEmitter) -> None:
    """Emit the ONNX nodes of one node."""
    row = table.get(node.op)
    if row is not None and row.onnx is not None:
        row.onnx.write(node, emitter)
    elif node.op.startswith("onnx."):
        _write_raw(node, emitter)
    else:
        raise no_form(node)


def no_form(node: Node) -> NoForm:
    """The error for an operator that ONNX cannot spell: what, where in the user's model."""
    at = [f"in {node.origin.module}" * bool(node.origin.module), node.origin.source]
    place = " at ".join(part for part in at if part)
    return NoForm(
        f"{node.op} has no form in ONNX" + (f" ({place})" if place else ""),
        hint="replace it in the model, or add a row for it to the operator table",
    )


def _write_raw(node: Node, emitter: OnnxEmitter) -> None:
    op_type, domain = split_name(node.op)
    raw = node.raw if isinstance(node.raw, OnnxRaw) else OnnxRaw()
    inputs: list[Value | str | None] = []
    for slot, operand in node.operands.items():
        if slot != CAPTURED:
            inputs.extend(operand if isinstance(operand, tuple) else [operand])
    while inputs and inputs[-1] is None:
        inputs.pop()
    outputs = ["" if i in raw.omitted else v for i, v in enumerate(node.outputs)]
    emitter.emit(op_type, inputs, node.attributes, outputs=outputs, domain=domain)


@dataclass
class _Writer(OnnxEmitter):
    """An `OnnxEmitter` into a graphsurgeon graph."""

    opsets: dict[str, int]
    #: The operator sets for which raw operators were read.
    read_with: dict[str, int]
    names: dict[Value, str] = field(default_factory=dict)
    free: Names = field(default_factory=Names)
    tensors: dict[str, gs.Tensor] = field(default_factory=dict)
    nodes: list[gs.Node] = field(default_factory=list)
    captured: dict[str, Array] = field(default_factory=dict)
    #: The node that is being written.
    node: Node | None = None
    opset: int = field(init=False)

    def __post_init__(self) -> None:
        self.opset = self.opsets[""]

    # -- names -----------------------------------------------------------------------------------

    def name_values(self, graph: Graph) -> None:
        """Inputs have their own names, outputs the names the graph gives them, and the others
        theirs where these are still free."""
        taken = {*graph.output_names, *(v.name for v in graph.inputs)}
        taken |= {n for node in graph.nodes for n in _inner_names(node)}
        self.free = Names(taken)
        self.names = {v: v.name for v in graph.inputs}
        for value, name in zip(graph.outputs, graph.output_names, strict=True):
            if value.producer is not None:
                self.names.setdefault(value, name)
        for value in [*graph.constants, *(v for n in graph.nodes for v in n.outputs)]:
            if value not in self.names:
                self.names[value] = self.free.fresh(value.name)

    def temp(self, hint: str) -> str:
        return self.free.fresh(hint)

    # -- what writers call -----------------------------------------------------------------------

    def add(self, emitted: Emitted) -> None:
        op_type, domain = emitted.op_type, emitted.domain
        schema = schema_of(op_type, domain, self.opsets.get(domain, 1))
        defined = [self.tensor(o) for o in emitted.outputs]
        node = gs.Node(
            op_type,
            name=next((t.name for t in defined if t.name), op_type),
            attrs={k: surgeon_attribute(v, k, schema) for k, v in emitted.attributes.items()},
            inputs=[gs.Variable.empty() if i is None else self.tensor(i) for i in emitted.inputs],
            outputs=defined,
            domain=domain or None,
        )
        node.origin = self.node.origin if self.node else Origin()
        node.written_for = self.node
        self.nodes.append(node)

    def constant(self, array: Array, hint: str) -> str:
        name = self.temp(hint)
        self.tensors[name] = gs.Constant(name, np.asarray(array))
        return name

    def tensor(self, operand: Value | str) -> gs.Tensor:
        if operand == "":
            return gs.Variable.empty()
        name = operand if isinstance(operand, str) else self.names[operand]
        if name not in self.tensors:
            type = TensorType() if isinstance(operand, str) else operand.type
            data = None if isinstance(operand, str) else operand.data
            self.tensors[name] = _variable(name, type) if data is None else gs.Constant(name, data)
        return self.tensors[name]

    # -- nodes and outputs -----------------------------------------------------------------------

    def write_identity(self, node: Node) -> None:
        """Pass the input of a quantizer on as it is: in its own type, whatever codes would have."""
        self.emit("Identity", [source(node)], outputs=node.outputs)
        self.tensor(node.output).dtype = None

    def write(self, node: Node, table: OperatorTable) -> None:
        self.node = node
        if table.get(node.op) is None and node.op.startswith("onnx."):
            require_same_form(node, self.read_with, self.opsets)
        write_node(node, table, self)
        if isinstance(node.raw, OnnxRaw) and node.raw.subgraphs:
            self.add_subgraphs(node, node.raw)
        self.node = None

    def add_subgraphs(self, node: Node, raw: OnnxRaw) -> None:
        operand = node.operands.get(CAPTURED)
        values = operand if isinstance(operand, tuple) else ()
        mapping = dict(zip(raw.captured, (self.names[v] for v in values), strict=True))
        for value in values:
            self.tensor(value)
            if value.data is not None:
                self.captured[self.names[value]] = value.data
        attributes = self.nodes[-1].attrs
        for name, graph in raw.subgraphs.items():
            attributes[name] = renamed_captures(graph, mapping)

    def finish(self, graph: Graph) -> Written:
        outputs = []
        for value, name in zip(graph.outputs, graph.output_names, strict=True):
            if self.names[value] != name:
                self.tensors[name] = _variable(name, value.type)
                self.emit("Identity", [value], outputs=[name])
            outputs.append(self.tensors[name] if name in self.tensors else self.tensor(value))
        self.drop_bypassed({t.name for t in outputs}, graph)
        used = {"", *(n.domain for n in self.nodes if n.domain), *self.inner_domains()}
        imports = [onnx.helper.make_opsetid(d, self.opsets.get(d, 1)) for d in sorted(used)]
        surgeon = gs.Graph(
            nodes=self.nodes,
            inputs=[self.tensor(v) for v in graph.inputs],
            outputs=outputs,
            name=graph.name,
            opset=self.opset,
            import_domains=imports,
            producer_name="sparqc",
            producer_version=version("sparqc"),
            ir_version=onnx.helper.find_min_ir_version_for(imports, ignore_unknown=True),
        )
        native = graph.native if isinstance(graph.native, OnnxNative) else OnnxNative(self.opsets)
        return Written(surgeon, self.names, native, self.captured)

    def drop_bypassed(self, outputs: set[str], graph: Graph) -> None:
        """Drop nodes whose readers were written to read something else: the Q and DQ of a weight
        that is stored transposed.  Nodes that nobody read before stay as they are."""
        captured = [n.operands[CAPTURED] for n in graph.nodes if CAPTURED in n.operands]
        read = Counter([*outputs, *(self.names[v] for vs in captured for v in vs or ())])  # type: ignore[union-attr]
        read.update(t.name for node in self.nodes for t in node.inputs)
        kept = []
        for node in reversed(self.nodes):
            was_read = node.written_for and any(v.readers for v in node.written_for.outputs)
            if was_read and not any(read[t.name] for t in node.outputs):
                read.subtract(t.name for t in node.inputs)
            else:
                kept.append(node)
        self.nodes = kept[::-1]

    def inner_domains(self) -> set[str]:
        graphs = [a for n in self.nodes for a in n.attrs.values() if isinstance(a, onnx.GraphProto)]
        return {d for g in graphs for d in domains_of(g)}


def _inner_names(node: Node) -> set[str]:
    """The names inside a node's subgraphs, which nothing around them may have."""
    if not isinstance(node.raw, OnnxRaw):
        return set()
    return {n for g in node.raw.subgraphs.values() for n in _all_names(g)} - set(node.raw.captured)


def _all_names(graph: onnx.GraphProto) -> set[str]:
    names = {i.name for i in graph.input} | {t.name for t in graph.initializer}
    for node in graph.node:
        names.update(node.output)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names |= _all_names(attribute.g)
    return names | set(captured_names(graph))


def _variable(name: str, type: TensorType) -> gs.Variable:
    dims = None if type.shape is None else known_dims(type.shape)
    return gs.Variable(name, numpy_dtype(type.dtype) if element_type(type.dtype) else None, dims)


# -- attributes ----------------------------------------------------------------------------------


def surgeon_attribute(value: Attribute, name: str, schema: Any) -> Any:
    """An attribute as graphsurgeon takes it, of the kind that the schema asks for."""
    if isinstance(value, np.ndarray):
        return gs.Constant(name, value)
    if isinstance(value, tuple):
        return [surgeon_attribute(v, name, None) for v in _floats(value, _kind(name, schema))]
    if isinstance(value, int) and _kind(name, schema) == "FLOAT":
        return float(value)
    return value


def plain_attribute(value: Attribute, name: str, schema: Any) -> Attribute:
    """An attribute as it is read back from a model."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, tuple):
        return tuple(plain(v) for v in _floats(value, _kind(name, schema)))
    if isinstance(value, int) and _kind(name, schema) == "FLOAT":
        return plain(float(value))
    return plain(value)


def attribute_proto(name: str, value: Attribute, schema: Any) -> onnx.AttributeProto:
    """The same as an AttributeProto."""
    given = surgeon_attribute(value, name, schema)
    if isinstance(value, np.ndarray):
        given = onnx.numpy_helper.from_array(value, name)
    kind = _kind(name, schema) or "INTS"
    number = onnx.AttributeProto.AttributeType.Value(kind)
    return onnx.helper.make_attribute(name, given, attr_type=number if given == [] else None)


def _kind(name: str, schema: Any) -> str:
    if schema is None or name not in schema.attributes:
        return ""
    return str(schema.attributes[name].type.name)


def _floats(items: tuple[Attribute, ...], kind: str) -> Sequence[Attribute]:
    return [float(i) if isinstance(i, int) else i for i in items] if kind == "FLOATS" else items


# -- protos --------------------------------------------------------------------------------------


def _export(written: Written, origins: bool = False) -> onnx.ModelProto:
    surgeon = written.surgeon
    empties = _take_empties(surgeon)
    with G_LOGGER.suppress(G_LOGGER.ERROR):
        model: onnx.ModelProto = gs.export_onnx(surgeon, do_type_check=False)
    for index, name, schema in empties:
        model.graph.node[index].attribute.append(attribute_proto(name, (), schema))
    exported = {t.name for t in model.graph.initializer}
    captured = written.captured.items()
    model.graph.initializer.extend(_stub(n, a) for n, a in captured if n not in exported)
    if origins:
        pairs = zip(surgeon.nodes, model.graph.node, strict=True)
        if any([add_origin(proto, node.origin) for node, proto in pairs]):
            model.ir_version = max(model.ir_version, METADATA_IR)
    model.doc_string = written.native.doc
    for key, value in written.native.metadata:
        model.metadata_props.add(key=key, value=value)
    return model


def _take_empties(surgeon: gs.Graph) -> list[tuple[int, str, Any]]:
    """Take away the empty list attributes, which graphsurgeon cannot write."""
    found = []
    versions = {i.domain: i.version for i in surgeon.import_domains}
    for index, node in enumerate(surgeon.nodes):
        for name in [k for k, v in node.attrs.items() if isinstance(v, list) and not v]:
            del node.attrs[name]
            domain = node.domain or ""
            found.append((index, name, schema_of(node.op, domain, versions[domain])))
    return found


def _take_data(written: Written) -> dict[str, Array]:
    """Take the arrays out of a graph, so that graphsurgeon's copies cost nothing."""
    arrays = dict(written.captured)
    for tensor in written.surgeon.tensors().values():
        if isinstance(tensor, gs.Constant):
            arrays[tensor.name] = tensor.values
            tensor.values = LazyValues(_stub(tensor.name, tensor.values))
    return arrays


def _stub(name: str, array: Array) -> onnx.TensorProto:
    """A tensor without its data."""
    number = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return onnx.TensorProto(name=name, data_type=number, dims=array.shape)


def _fill(tensor: onnx.TensorProto, array: Array) -> None:
    if array.dtype.itemsize == 1 and array.dtype.name not in ("int8", "uint8", "bool"):
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))  # packs 4-bit types
    elif array.dtype == object:
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    else:
        tensor.raw_data = array.tobytes()
