"""From an FX graph to an ONNX graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sparqc.errors import NoForm, SparqcError
from sparqc.ir.constants import constant_value
from sparqc.ir.export.mapping import Mapper
from sparqc.ir.export.regions import Region, in_order, region_of, regions_of
from sparqc.ir.export.splice import splice
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.ir.uncalibrated import is_uncalibrated
from sparqc.ir.vocabulary.onnx_names import DEFAULT_OPSET
from sparqc.ir.vocabulary.table import OperatorTable

if TYPE_CHECKING:
    from sparqc.ir.export.alone import TorchExporter


@dataclass(frozen=True)
class Exported:
    """An ONNX graph, and what of it the table did not write."""

    graph: Graph
    #: How often each operator was exported by torch.onnx, it alone.
    alone: Mapping[str, int]
    #: What the values of the FX graph that operators define became, as far as they are there.
    became: Mapping[Value, Value]


def to_onnx(
    graph: Graph,
    table: OperatorTable,
    opset: int = DEFAULT_OPSET,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    example: Sequence[Array] = (),
) -> Graph:
    """The graph of `export_graph`."""
    names = {"input_names": input_names, "output_names": output_names}
    return export_graph(graph, table, opset, **names, example=example).graph


def export_graph(
    graph: Graph,
    table: OperatorTable,
    opset: int = DEFAULT_OPSET,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    example: Sequence[Array] = (),
) -> Exported:
    """The graph in ONNX's operators; the FX graph itself stays as it is.

    Quantizers become Q/DQ pairs, masks of constants are folded into these, values keep their
    names, and weights are the same arrays.  An operator without an ONNX form in the table is
    exported by torch.onnx, which takes seconds: it alone, so that the others are none the wiser.
    `example` then gives the sizes of symbolic dimensions to trace with.

    Raises SparqcError, naming operator, module and source line, where neither can.
    """
    copy = _prepared(graph, table)
    made = (v for node in graph.nodes for v in node.outputs)
    twins = {copy.value(v.name): v for v in made if v.name in copy}
    _rename(copy, input_names, output_names)
    for node in copy.nodes:
        if is_uncalibrated(node):
            raise SparqcError(
                f"the quantizer {name_of(node)!r} has no scale yet",
                hint="calibrate the graph before it is exported",
            )
    export = _Export(copy, table, opset, example)
    result = export.run()
    became = {
        value: new
        for twin, value in twins.items()
        if (new := export.mapper.values.get(twin)) and not new.is_const and _stands_in(new, result)
    }
    return Exported(result, dict(export.alone), became)


def _stands_in(value: Value, graph: Graph) -> bool:
    return value.name in graph and graph.value(value.name) is value


class _Export:
    def __init__(
        self, graph: Graph, table: OperatorTable, opset: int, example: Sequence[Array]
    ) -> None:
        self.graph, self.table, self.opset, self.example = graph, table, opset, example
        self.mapper = Mapper(graph, table, opset)
        self.alone: Counter[str] = Counter()

    def run(self) -> Graph:
        regions = regions_of(self.graph, self.table)
        if len(regions) > 1:
            self.torch.prepare(regions)
        for unit in in_order(self.graph, regions):
            if isinstance(unit, Region):
                self._export_alone(unit)
            else:
                self._write(unit)
        return self.mapper.finish()

    def _write(self, node: Node) -> None:
        try:
            self.mapper.write(node)
        except NoForm as reason:
            self._export_alone(region_of(node), reason)

    def _export_alone(self, region: Region, reason: NoForm | None = None) -> None:
        piece, exported = self.torch.export(region, reason)
        splice(self.mapper, exported, piece.inputs, piece.outputs, region.nodes[0].origin)
        self.alone.update(node.op for node in region.nodes)

    @cached_property
    def torch(self) -> TorchExporter:
        """What exports the operators outside the table."""
        # Imports torch, which work on ONNX alone does without.
        from sparqc.ir.export.alone import TorchExporter

        return TorchExporter(self.graph, self.table, self.opset, self.example)


def _prepared(graph: Graph, table: OperatorTable) -> Graph:
    """A copy without dead operators, and with the masks of constants folded."""
    copy = graph.clone()
    copy.drop_dead()
    for node in copy.nodes:
        if node.op == "sparse.mask":
            _fold(copy, node, table)
    return copy


def _fold(graph: Graph, node: Node, table: OperatorTable) -> None:
    weight, data = node.operands["w"], constant_value(node.output, table)
    if data is None or not isinstance(weight, Value):
        return
    folded = graph.constant(data, weight.name)
    graph.replace(node.output, folded)
    graph.drop_dead([node])
    if weight.name not in graph:
        graph.rename(folded, weight.name)


def _rename(graph: Graph, inputs: Sequence[str] | None, outputs: Sequence[str] | None) -> None:
    for value, name in zip(graph.inputs, inputs or (), strict=False):
        if name in graph and graph.value(name) is not value:
            graph.rename(graph.value(name), graph.fresh(name))
        graph.rename(value, name)
    if outputs is not None:
        graph.set_outputs(graph.outputs, outputs)
