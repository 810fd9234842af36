"""Nodes of an FX graph as nodes of an ONNX graph, value by value."""

from __future__ import annotations

from collections.abc import Mapping

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph, Node, TensorType, Value
from sparqc.ir.onnx.calls import OnnxCall, OnnxCallBuilder
from sparqc.ir.onnx.names import Names
from sparqc.ir.onnx.native import OnnxNative
from sparqc.ir.onnx.sheet import Sheet
from sparqc.ir.onnx.types import settled
from sparqc.ir.onnx.write import plain_attribute, write_node
from sparqc.ir.vocabulary.onnx_schema import schema_of, signature_of
from sparqc.ir.vocabulary.operator import Emitted
from sparqc.ir.vocabulary.table import OperatorTable


class Mapper:
    """The ONNX graph of an FX graph while it is made, and the value that each value became.

    Constants are the very arrays of the FX graph.
    """

    def __init__(self, source: Graph, table: OperatorTable, opset: int) -> None:
        self.source, self.table = source, table
        self.opsets: dict[str, int] = {"": opset}
        self.graph = Graph("onnx", source.name)
        #: What each value is called in a file.
        self.names: dict[Value, str] = {v: v.name for v in source.inputs}
        self.free = Names({*source.output_names, *self.names.values()})
        self._name_values()
        self.builder = OnnxCallBuilder(self.graph, table, self.opsets, self.free.fresh)
        self.values: dict[Value, Value] = {}
        #: The names that constants in another layout are to get once they are free.
        self._stored_as: dict[Value, str] = {}
        for value in source.inputs:
            made = self.graph.add_input(value.name, settled(value.type, value.name))
            self.values[value] = self.builder.define(made)

    def _name_values(self) -> None:
        """A value behind an output is called what the output is; the others have their own names
        where these are free."""
        for value, name in zip(self.source.outputs, self.source.output_names, strict=True):
            if value.producer is not None:
                self.names.setdefault(value, name)
        made = (v for node in self.source.nodes for v in node.outputs)
        for value in [*self.source.constants, *made]:
            if value not in self.names:
                self.names[value] = self.free.fresh(value.name)

    def value(self, value: Value) -> Value:
        """What a value of the FX graph became."""
        if value not in self.values:
            if value.data is None:
                raise SparqcError(f"{value.name!r} is defined nowhere")
            self.values[value] = self.builder.constant(self.names[value], value.data)
        return self.values[value]

    # -- nodes of the table ----------------------------------------------------------------------

    def write(self, node: Node) -> None:
        """Add a node as its row of the table writes it.

        Raises NoForm where it does not, and the graph is then as it was.
        """
        sheet = Sheet(self.opsets[""], self.free.fresh)
        write_node(node, self.table, sheet)
        types = sheet.types(self._name, self._type, self.opsets)
        made: dict[str, Value] = {}
        for emitted in sheet.nodes:
            self._add(emitted, sheet, types, made, node)

    def _name(self, item: Value | str) -> str:
        return item if isinstance(item, str) else self.names[item]

    def _type(self, value: Value) -> TensorType:
        made = self.values.get(value)
        return settled(value.type, self._name(value)) if made is None else made.type

    def _add(
        self,
        emitted: Emitted,
        sheet: Sheet,
        types: Mapping[str, TensorType],
        made: dict[str, Value],
        source: Node,
    ) -> None:
        """Add one ONNX node; `made` holds the tensors of the sheet that have a value by now."""
        op_type, domain = emitted.op_type, emitted.domain
        signature = signature_of(op_type, domain, self.opsets.setdefault(domain, 1))
        outputs = list(emitted.outputs)
        optional = signature.optional_outputs if signature else frozenset()
        while outputs and len(outputs) - 1 in optional and not sheet.reads(outputs[-1]):
            outputs.pop()
        if not outputs:
            return
        schema = schema_of(op_type, domain, self.opsets[domain])
        names = [self._name(o) for o in outputs]
        created = self.builder.call(
            OnnxCall(
                op_type,
                domain,
                [None if i is None else self._read(i, sheet, made) for i in emitted.inputs],
                {k: plain_attribute(v, k, schema) for k, v in emitted.attributes.items()},
                [(name, types[name]) for name in names],
                origin=source.origin,
            )
        )
        created.layers = source.layers
        for output, value in zip(outputs, created.outputs, strict=True):
            if isinstance(output, Value):
                self.values[output] = value
            else:
                made[output] = value

    def _read(self, item: Value | str, sheet: Sheet, made: dict[str, Value]) -> Value:
        if isinstance(item, Value):
            return self.value(item)
        if item not in made:
            made[item] = self.builder.constant(item, sheet.arrays[item])
            self._stored_as[made[item]] = sheet.hints[item]
        return made[item]

    # -- the whole -------------------------------------------------------------------------------

    def finish(self) -> Graph:
        """The finished graph."""
        outputs = [
            self._output(*pair)
            for pair in zip(self.source.outputs, self.source.output_names, strict=True)
        ]
        self.graph.set_outputs(outputs, self.source.output_names)
        self.graph.native = OnnxNative(dict(sorted(self.opsets.items())))
        self.graph.drop_dead()
        self._settle_names()
        return self.graph

    def _output(self, value: Value, name: str) -> Value:
        """What stands behind an output: the value itself, unless that has another name."""
        made = self.value(value)
        if self.names[value] == name:
            return made
        type = settled(value.type, name)
        return self.builder.call(OnnxCall("Identity", "", [made], {}, [(name, type)])).output

    def _settle_names(self) -> None:
        """A weight in another layout gets the weight's name where that is free now, and a value
        behind an output its own; the outputs keep theirs."""
        for constant in self.graph.constants:
            name = self._stored_as.get(constant)
            if name is not None and name in self.source and name not in self.graph:
                self.graph.rename(constant, name)
        for value in self.source.outputs:
            if value.producer is not None and value.name not in self.graph:
                self.graph.rename(self.values[value], value.name)
