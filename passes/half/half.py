"""The float remainder in FP16."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.ir.quantizers import CONVERSIONS
from sparqc.match.cover import cover
from sparqc.match.match import Matcher
from sparqc.passes.half.casts import Typing, Writer
from sparqc.passes.half.kept import Kept, fits
from sparqc.passes.half.rough import TooRough, note_rough
from sparqc.passes.half.types import FULL, HALF, Signature
from sparqc.passes.half.widened import ends_in_half
from sparqc.passes.place.half_scales import raise_opset_for_scales
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context
from sparqc.validation.departure import Departure

#: The operators of one kernel, which have one type.
Unit = tuple[Node, ...]


@dataclass(frozen=True)
class KeptOperator:
    """An operator that stayed in FP32, and why."""

    value: str
    op: str
    reason: str
    module: str = ""
    #: The `precision` of a pattern file that keeps it.
    by: str = ""


@dataclass(frozen=True)
class HalfConversion:
    """The fact that `half` leaves."""

    kept: tuple[KeptOperator, ...] = ()
    #: Constants that were clamped to the range of FP16.
    clamped: tuple[str, ...] = ()
    #: What these are added to and multiplied by, up to where they have their effect.
    bounds: frozenset[str] = frozenset()
    #: How many were inserted.
    casts: int = 0
    #: Why everything stays in FP32, where the target alone would have it otherwise.
    refused: str = ""


@register
@dataclass(frozen=True)
class Half(Pass):
    """Convert the float operators to FP16, where `--float fp16` or the target asks for it, or the
    model came in FP16.  The target alone does where others are quantized.  Where it cannot be,
    only a wish is an error; else the operators stay in FP32.

    Every value, weight and scale gets one type, as a strongly typed network wants it.  A Q or DQ
    has the type of its float side, so no Cast stands between it and its operator.  In FP32 stay
    what a `precision` of the pattern files keeps, what exceeds `largest` on the example
    inputs and on samples of the first calibration batches, what FP16 cannot hold (constants,
    scales, integers), what it computes too roughly on a sample, what has no FP16 form, and what
    `keep` selects, as `--exclude` does.  The kernels around them follow where that saves Casts.
    """

    name = "half"
    level = "onnx"
    preserves = "close"
    coarsens = True
    carries_out = ("float",)
    keep: tuple[str, ...] = ()
    largest: float = 16384.0

    def transform(self, graph: Graph, context: Context) -> tuple[Graph, int]:
        """A graph that is converted, and the number of operators that are FP16 in it."""
        if not ends_in_half(context):
            return graph, 0
        if refused := context.facts.get(TooRough, TooRough()).refused:
            context.facts.put(HalfConversion(refused=refused))
            return graph, 0
        copy = graph.clone()
        changes = self.run(copy, context)
        return (copy, changes) if changes else (graph, 0)

    def spares(self, departures: Sequence[Departure], context: Context) -> bool:
        """Keep in FP32 what FP16 computes too roughly."""
        return note_rough(departures, context)

    def changed_on_purpose(self, context: Context) -> Collection[str]:
        """Masks of the least float32 become those of FP16, as what takes them in allows."""
        return context.facts.get(HalfConversion, HalfConversion()).bounds

    def run(self, graph: Graph, context: Context) -> int:
        """Convert; returns the number of operators that are FP16 now."""
        from sparqc.passes.half.signatures import signature_of

        try:
            _prepare_scales(graph, context)
        except SparqcError as error:
            if context.precision_asked:
                raise
            context.facts.put(HalfConversion(refused=error.message))
            return 0
        signatures = {
            n: signature_of(n, context.table) for n in graph.nodes if n.op not in CONVERSIONS
        }
        kept = Kept(graph, context, signatures, self.keep, self.largest)
        spread = _Spread(graph, context, signatures, kept)
        reasons = {**spread.reasons, **_beyond_limit(spread, context)}
        writer = Writer(graph, Typing(signatures, frozenset(reasons)))
        rows = tuple(
            KeptOperator(n.output.name, n.op, reasons[n], n.origin.module, kept.declared.get(n, ""))
            for n in graph.nodes
            if n in reasons
        )
        writer.write()
        _round_scales(context.scales)
        clamped = tuple(v.name for v in kept.clamped)
        bounds = frozenset(v.name for v in kept.masks)
        context.facts.put(HalfConversion(rows, clamped, bounds, writer.casts))
        return sum(any(v.type.dtype == HALF for v in n.outputs) for n in graph.nodes)


def _prepare_scales(graph: Graph, context: Context) -> None:
    """See that FP16 scales may be written, in a newer opset where that is needed.

    Raises UsageError where the target does not read them, SparqcError where the graph cannot be
    written in that opset.
    """
    if not any(n.op in CONVERSIONS for n in graph.nodes):
        return
    context.target.require_precision("fp16")
    raise_opset_for_scales(graph, context)


def _beyond_limit(spread: _Spread, context: Context) -> dict[Node, str]:
    """The kernels that a limit of what may be done leaves in FP32."""
    found: dict[Node, str] = {}
    for unit in dict.fromkeys(spread.units.values()):
        if spread.reasons.keys() & set(unit) or not any(map(spread.computes, unit)):
            continue
        made = [v.name for n in unit for v in n.outputs]
        stored = [v.name for n in unit for v in n.inputs if v.is_const]
        if not context.action.decides(*made, *stored):
            found.update(dict.fromkeys(unit, "beyond --limit"))
    return found


def _round_scales(scales: dict[str, float]) -> None:
    """The scales of INT8 inputs and outputs, as the quantizers of the graph have them now."""
    for name, scale in scales.items():
        if fits(np.array(scale)):
            scales[name] = float(np.float16(scale))


class _Spread:
    """Lets the operators of one kernel, and those that share a type, follow the one of them that is
    kept in FP32, and those between kept ones where that saves a Cast."""

    def __init__(
        self,
        graph: Graph,
        context: Context,
        signatures: Mapping[Node, Signature],
        kept: Kept,
    ) -> None:
        self.graph, self.context, self.signatures = graph, context, signatures
        self.reasons = dict(kept.reasons)
        self.siblings = kept.siblings()
        self.typing = Typing(signatures, self.reasons)
        self.units = self._units()
        for node, reason in kept.reasons.items():
            self._keep(self.units.get(node, (node,)), f"one kernel with {name_of(node)}: {reason}")
        pending = dict.fromkeys(self.units.values())
        while pending:
            unit = next(iter(pending))
            del pending[unit]
            if not self.reasons.keys() & set(unit) and self._saves(unit):
                self._keep(unit, "FP32 on both sides: it saves a Cast")
                pending.update((self.units[n], None) for n in _around(unit) if n in self.units)

    def _units(self) -> dict[Node, Unit]:
        fusions = self.context.rules.fusions("onnx", self.context.target.name)
        matcher = Matcher(self.context.rules, self.context.table, self.context.target.name)
        found: dict[Node, Unit] = {n: (n,) for n in self.signatures}
        for match in cover(self.graph, matcher, fusions):
            nodes = tuple(n for n in match.nodes if n in self.signatures)
            found.update(dict.fromkeys(nodes, nodes))
        return found

    def _keep(self, unit: Unit, reason: str) -> None:
        for node in unit:
            if self.computes(node):
                self.reasons.setdefault(node, reason)
        for node in unit:
            for other in self.siblings.get(node, ()):
                if other not in self.reasons:
                    self._keep(self.units[other], f"it has the type of {name_of(node)}: {reason}")

    def computes(self, node: Node) -> bool:
        """Whether it has a type that may be another one."""
        return bool(self.signatures[node].bound or self.signatures[node].results)

    def _saves(self, unit: Unit) -> bool:
        """Whether FP32 takes fewer Casts; what has weights runs faster in FP16 all the same."""
        if any(self.context.table.has(n.op, "weighted") for n in unit):
            return False
        values = list(_values_around(unit))
        before = sum(self._casts(v) for v in values)
        self.reasons.update(dict.fromkeys(unit, ""))
        after = sum(self._casts(v) for v in values)
        for node in unit:
            del self.reasons[node]
        return after < before

    def _casts(self, value: Value) -> int:
        """How many Casts a value needs: one for each type but its own that is wanted of it."""
        if value.type.dtype != FULL or value.is_const:
            return 0
        if value.producer is not None and value.producer.op in CONVERSIONS:
            return 0
        wanted = {self.typing.wanted(n, value) for n in value.readers} - {""}
        wanted |= {FULL} if value.is_output else set()
        return len(wanted - {self.typing.of(value)})


def _around(unit: Unit) -> Iterator[Node]:
    """What gives the values that the operators read, and what reads theirs."""
    for node in unit:
        yield from (v.producer for v in node.inputs if v.producer is not None)
        yield from (r for v in node.outputs for r in v.readers)


def _values_around(unit: Unit) -> dict[Value, None]:
    return dict.fromkeys(v for n in unit for v in (*n.inputs, *n.outputs))
