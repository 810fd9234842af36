"""Predict what a target makes of a graph with Q/DQ: its kernels, their traffic, a ledger.

The kernels are the fusions that the pattern files declare, as they match the graph with its Q/DQ;
each takes in the DQ of its INT8 operands and the Q behind it.  Data movement (the `share`
declarations) carries codes where the Qs allow it.  The Q and DQ that nobody takes in are kernels
of their own, as are operators that no fusion describes.  Nothing here knows a target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sparqc.base.union_find import union_find
from sparqc.errors import UsageError
from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.quantizers import CONVERSIONS, QUANTIZE, onnx_conversions
from sparqc.ir.weighted import weight_of
from sparqc.match.match import Matcher
from sparqc.predict.codes import fault_of, flow
from sparqc.predict.cover import KernelCover
from sparqc.predict.engine import (
    LedgerRow,
    PredictedEngine,
    PredictedKernel,
    QuantizedValue,
    Tensor,
)
from sparqc.predict.ledger import ledger, quantized_weights, stored_name
from sparqc.predict.sizes import macs
from sparqc.predict.units import Stored, Unit, Units, Unrun, join, unrun
from sparqc.rewrite.context import Context

if TYPE_CHECKING:
    from networkx.utils import UnionFind

_FLOATS = ("f64", "f32", "bf16", "f16")


@dataclass(frozen=True)
class Prediction:
    """The kernels of a graph in its own terms, and the engine that they make."""

    graph: Graph
    context: Context
    matcher: Matcher
    units: Units
    #: The kernels, those taken in that others join.
    joined: list[Unit]
    skipped: Unrun

    @cached_property
    def engine(self) -> PredictedEngine:
        """The engine.  Late: to compare where codes flow, the kernels are enough."""
        graph, units = self.graph, self.units
        names = {unit: _name(unit) for unit in self.joined}
        rows = ledger(graph, units, names, self.matcher)
        by_value = {row.value: row for row in rows}
        folded = (n for n in graph.nodes if n in self.skipped.nodes and n.outputs)
        return PredictedEngine(
            target=self.context.target.name,
            kernels=tuple(_kernel(unit, names[unit], by_value, units) for unit in names),
            ledger=rows,
            values=tuple(_quantized_values(units)),
            weights=quantized_weights(graph, rows, units.table),
            folded=tuple(n.outputs[0].name for n in folded),
            notes=tuple(_notes(graph, units)),
            shapes=tuple((v.name, v.shape) for v in graph.inputs),
        )


def predict_graph(graph: Graph, context: Context) -> PredictedEngine:
    """The engine that the target of `context` is expected to make of an ONNX graph.

    Raises UsageError for a graph of another level.
    """
    return prediction(graph, context).engine


def prediction(graph: Graph, context: Context) -> Prediction:
    """As `predict_graph`, with the kernels that it follows from."""
    if graph.level != "onnx":
        raise UsageError("engines are predicted from ONNX graphs; export the model first")
    matcher = Matcher(context.rules, context.table, context.target.name)
    skipped = unrun(graph)
    codes = flow(graph, context, matcher, skipped.nodes)
    cover = KernelCover(graph, context, matcher, codes)
    plain = (n for n in matcher.order(graph).outputs_first() if n not in skipped.nodes)
    cover.take([n for n in plain if n.op not in CONVERSIONS])
    units = Units(graph, context.table, codes, cover, skipped)
    outputs = {units.stored(v) for v in graph.outputs}
    joined = join(units.found, outputs, units.writer)
    return Prediction(graph, context, matcher, units, joined, skipped)


def _name(unit: Unit) -> str:
    """The value that the kernel gives."""
    return next(iter(unit.writes))[0].name


def _kernel(unit: Unit, name: str, rows: dict[str, LedgerRow], units: Units) -> PredictedKernel:
    inside = [rows[n.output.name] for n in unit.nodes if n.outputs and n.output.name in rows]
    counts = [macs(node, units.table) for node in unit.nodes]
    return PredictedKernel(
        name=name,
        kind=unit.kind,
        operators=tuple(n.op for n in unit.nodes),
        values=tuple(n.outputs[0].name for n in unit.nodes if n.outputs),
        int8=unit.int8 or _moves_codes(unit),
        inputs=tuple(map(_tensor, unit.reads)),
        outputs=tuple(map(_tensor, unit.writes)),
        weights=tuple(_weights(unit, units)),
        macs=None if None in counts else sum(c for c in counts if c is not None),
        sparse=bool(inside) and all(row.sparse for row in inside),
        sparse_pays=bool(inside) and all(row.sparse_pays for row in inside),
        dtype=_dtype(unit),
        note=_inside(unit),
    )


def _moves_codes(unit: Unit) -> bool:
    tensors = [*map(_tensor, unit.reads), *map(_tensor, unit.writes)]
    return not unit.choices and all(t.dtype == "i8" for t in tensors)


def _dtype(unit: Unit) -> str:
    """The float type of the results: that of the first operator that gives one."""
    types = (v.type.dtype for node in unit.nodes for v in node.outputs)
    return next((t for t in types if t in _FLOATS), "f32")


def _inside(unit: Unit) -> str:
    if any(getattr(node.raw, "subgraphs", None) for node in unit.nodes):
        return "has subgraphs, which are not looked into"
    return ""


def _tensor(stored: Stored) -> Tensor:
    value, scale = stored
    return Tensor(value.name, value.type.dtype if scale is None else "i8", value.shape, scale)


def _weights(unit: Unit, units: Units) -> Iterator[Tensor]:
    """The constants that the operators of a kernel read; a weight in INT8 only in INT8 kernels."""
    codes = {c.weighted.weight for c in unit.choices if c.int8 and c.weighted is not None}
    seen: set[Value] = set()
    for node in unit.nodes:
        if node.op in CONVERSIONS:
            continue
        for value in node.inputs:
            fixed = value.is_const or value.producer in units.skipped
            if fixed and value not in seen and value.type.rank:
                seen.add(value)
                dtype = "i8" if value in codes else value.type.dtype
                yield Tensor(stored_name(value) if value in codes else value.name, dtype,
                             value.shape)  # fmt: skip


def _quantized_values(units: Units) -> Iterator[QuantizedValue]:
    """The plan of the activations, read off the graph: values in INT8, and who shares a scale."""
    groups = _groups(units)
    rows: dict[Stored, tuple[list[str], list[str]]] = {}
    for node, scale in units.scales.items():
        if scale is None:
            continue
        tensor = units.stored(node.output, None if node.op == QUANTIZE else scale)
        quantizers, readers = rows.setdefault(tensor, ([], []))
        if node.op == QUANTIZE:
            quantizers.append(node.output.name)
        else:
            readers += [r.output.name for r in node.output.readers]
    numbers: dict[Value, int] = {}
    for (value, scale), (quantizers, readers) in rows.items():
        if scale is not None:
            number = numbers.setdefault(groups[value], len(numbers) + 1)
            yield QuantizedValue(value.name, scale, number, tuple(quantizers), tuple(readers))


def _groups(units: Units) -> UnionFind:
    """Which values must have one scale: those that moved codes connect."""
    groups: UnionFind = union_find()
    for unit in units.found:
        node = unit.nodes[0]
        if node in units.flow.movements and all(s is not None for _, s in unit.writes):
            groups.union(*(v for v, _ in (*unit.reads, *unit.writes)))
    return groups


def _notes(graph: Graph, units: Units) -> Iterator[str]:
    """What could not be looked into, and quantizers that the target cannot use."""
    for node in graph.nodes:
        if getattr(node.raw, "subgraphs", None):
            yield f"{node.output.name} ({node.op}) has subgraphs, which are not looked into"
    if others := [n.output.name for n in graph.nodes if _has_other_codes(n)]:
        yield (
            f"{len(others)} quantizers ({others[0]} first) work by blocks, or with another type "
            "than INT8: what reads such codes is predicted in float, where newer GPUs have kernels"
        )
    faults = list(_faults(units))
    if faults:
        more = f", and {len(faults) - 1} more quantizers" if len(faults) > 1 else ""
        yield f"no INT8 kernel takes {faults[0]}{more}"


def _has_other_codes(node: Node) -> bool:
    """Whether it is a quantizer of codes that the table does not read."""
    kind = onnx_conversions().get(node.op.removeprefix("onnx."))
    if kind is None:
        return False
    codes = node.output if kind == QUANTIZE else next(node.inputs)
    return bool(node.attributes.get("block_size")) or codes.type.dtype not in ("i8", "u8", "?")


def _faults(units: Units) -> Iterable[str]:
    for node, scale in units.scales.items():
        if scale is None and not _of_weight(node, units):
            yield f"{node.output.name}: {fault_of(node, units.table)}"


def _of_weight(node: Node, units: Units) -> bool:
    if is_constant(node.output, units.table):
        return True
    return any(
        (found := weight_of(r, units.table)) is not None and found.weight is node.output
        for r in node.output.readers
    )
