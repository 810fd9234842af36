"""Take over the quantizers that another tool put into the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.levels.constant_results import constant_results, input_dependent_values
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import weighted
from sparqc.passes.adopt.clamps import restore_clamps
from sparqc.passes.adopt.code_regions import check_integer_operators, code_regions
from sparqc.passes.adopt.foreign import ANY, FROM_CODES, Grid, data_of, grid_of
from sparqc.passes.adopt.records import Recorder
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context


@register
@dataclass(frozen=True)
class Adopt(Pass):
    """Take the quantizers of other tools out of the model, and keep their ranges.

    Fake quantizers, Q/DQ pairs and PT2E's pairs go; weights that are stored as codes become
    floats.  `place` then puts quantizers where the target wants them, and `calibrate` measures only
    what has no range yet.  Asymmetric ranges become symmetric ones; where such a range ends at 0,
    the Relu, ReLU6 or Clip that its quantizer stood for is written.  What is not INT8 is measured
    anew.  A model without quantizers stays as it is.
    """

    name = "adopt"
    preserves = "lossy"
    indivisible = "codes that pass through operators belong to the quantizers at both ends"
    #: Whether layers that the other tool left in float stay in float, or are quantized too.
    float_layers: Literal["keep", "quantize"] = "keep"

    def run(self, graph: Graph, context: Context) -> int:
        """Remove the quantizers; returns how many."""
        check_integer_operators(graph)
        grids = {node: grid_of(node) for node in graph.nodes if node.op in ANY}
        if not grids:
            return 0
        coded = code_regions(graph, grids, context.table)
        stored = _fold(graph, grids, coded, context.table)
        clamped = restore_clamps(graph, grids)
        recorder = Recorder(stored)
        for node, grid in grids.items():
            recorder.quantizer(node, grid)
        _remove(graph, grids, coded)
        graph.drop_dead()
        layers = list(weighted(graph, context.table))
        context.facts.put(recorder.finish(layers, self.float_layers == "keep", clamped))
        if context.reference is not None:
            # What later passes compare with is the float model, not the other tool's rounding.
            context.reference = graph.clone()
        return len(grids)


def _fold(
    graph: Graph, grids: Mapping[Node, Grid], coded: Mapping[Value, Grid], table: OperatorTable
) -> dict[Value, Grid]:
    """Compute the weights that are stored as codes or computed from others, such as the product
    with a mask.  Returns the constants that came from codes, with what the codes stood for."""
    varying = input_dependent_values(graph)
    wanted: dict[Value, Grid | None] = {}
    for node, grid in grids.items():
        source = data_of(node)
        if source in varying or source in coded:
            continue
        if node.op in FROM_CODES:
            wanted[node.output] = grid
        elif not source.is_const and not _is_foreign(source):
            wanted[source] = None
    arrays = _computed(graph, wanted, table)
    stored: dict[Value, Grid] = {}
    for value, codes in wanted.items():
        constant = graph.constant(arrays[value], _name(value, graph))
        graph.replace(value, constant)
        if codes is not None:
            stored[constant] = codes
    return stored


def _computed(
    graph: Graph, wanted: Mapping[Value, Grid | None], table: OperatorTable
) -> dict[Value, Array]:
    """The arrays: what comes from codes by the operator table, the rest by a run of the graph."""
    dequantized = {v: constant_value(v, table) for v, codes in wanted.items() if codes is not None}
    found = {v: array for v, array in dequantized.items() if array is not None}
    rest = [v for v in wanted if v not in found]
    results = constant_results(graph, rest, table) if rest else []
    return found | dict(zip(rest, results, strict=True))


def _is_foreign(value: Value) -> bool:
    return value.producer is not None and value.producer.op in ANY


def _name(value: Value, graph: Graph) -> str:
    """A weight made of one parameter keeps its name, one made of codes goes by its module, or by
    the name of the codes."""
    node = value.producer
    assert node is not None
    if node.op not in FROM_CODES:
        floats = [v for v in node.inputs if v.is_const and v.type.dtype.startswith("f")]
        return f"{floats[0].name}.masked" if len(floats) == 1 else value.name
    modules = [reader.origin.module for reader in value.readers if reader.origin.module]
    if modules and graph.level == "fx":
        return f"{modules[0]}.weight"
    codes = data_of(node).name
    name = codes.removesuffix("_quantized")
    return name if name != codes else f"{codes}.float"


def _remove(graph: Graph, grids: Mapping[Node, Grid], coded: Mapping[Value, Grid]) -> None:
    """Let everybody read what was in front of the quantizers."""
    kept = [value for value in coded if value.producer not in grids]
    for node in grids:
        source = data_of(node)
        if node.output.is_output and source.producer is None:
            # An input or a constant is no output: it has to go through an operator.
            source = graph.create(
                "nn.identity", {"x": source}, types=[source.type], before=node, origin=node.origin
            ).output
        graph.replace(node.output, source)
    for value in kept:
        assert value.producer is not None
        first = next(value.producer.inputs)
        value.type = replace(value.type, dtype=first.type.dtype)
