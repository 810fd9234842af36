"""Put Q/DQ where the target's fusions want it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from sparqc.base.union_find import union_find
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.layer_identity import layers_of, mark_layer
from sparqc.ir.quantizers import require_float
from sparqc.ir.weighted import Weighted, weight_of, weighted
from sparqc.lang.ast import FusionDecl
from sparqc.passes.adopt.adopted import adoption
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.place.changes import changes
from sparqc.passes.place.decide import Decider, Decision
from sparqc.passes.place.half_scales import prepare_scales, scale_dtype
from sparqc.passes.place.insert_quantizers import Slot, insert_quantizer
from sparqc.passes.place.placement import Layer, Placement, Quantizer
from sparqc.passes.place.recorded_ties import untied_in
from sparqc.passes.place.ties import Ties, ties
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context

if TYPE_CHECKING:
    from networkx.utils import UnionFind

ACTIVATION_RANGE = (-128, 127)
#: Weights leave out -128, so that the range is symmetric.
WEIGHT_RANGE = (-127, 127)


@register
@dataclass(frozen=True)
class Place(Pass):
    """Insert quantizers: on every operand that an INT8 fusion reads, one Q for each value.

    Values between which a scale passes unchanged get one scale.  Scales stay NaN until `calibrate`
    measures them.  The placement, with the reason for every layer that stays in float, goes into
    the report.
    """

    name = "place"
    preserves = "exact"  # an uncalibrated quantizer passes its input through
    places_quantizers = True
    #: Whether a masked layer that no INT8 layer reads gets a quantizer behind it all the same where
    #: its fusion asks for one: the float reader then pays for a conversion.
    masked_outputs: bool = True
    #: Without, weights alone are quantized: a smaller file whose arithmetic stays in float.
    activations: bool = True

    def is_separable(self) -> bool:
        """Each value by itself, with those that share its scale."""
        return True

    def run(self, graph: Graph, context: Context) -> int:
        """Insert the quantizers; returns how many."""
        placing = self.place(graph, context)
        context.facts.put(placing.placement)
        context.facts.put(placing.ties)
        return len(placing.placement.quantizers)

    def place(self, graph: Graph, context: Context) -> Placing:
        """Insert the quantizers; returns what they follow from."""
        require_float(graph, self.name)
        taken = adoption(context)
        if taken is not None:
            taken.settle(graph, context)
        decider = Decider(graph, context)
        layers = tuple(_layers(graph, decider, context))
        insertion = _Insertion(graph, context, decider, self.masked_outputs)
        if self.activations:
            insertion.activations()
        else:
            layers = _in_float(layers)
        insertion.weights()
        placement = Placement(layers, tuple(insertion.quantizers))
        if taken is not None:
            taken.changes = changes(taken, placement, decider)
        graph.sort()
        return Placing(
            placement, decider, insertion.asked, insertion.behind, insertion.groups, insertion.ties
        )


@dataclass(frozen=True)
class Placing:
    """A placement, and what it follows from."""

    placement: Placement
    decider: Decider
    #: The values that kernels read in INT8, with the slots that do.
    asked: Mapping[Value, Mapping[Slot, Decision]]
    #: The values that get a quantizer although none of their readers runs in INT8.
    behind: Mapping[Value, Decision]
    #: Which values have one scale.
    groups: UnionFind
    #: Why, and where that could be otherwise.
    ties: Ties


@dataclass
class _Insertion:
    """The insertion of quantizers into one graph."""

    graph: Graph
    context: Context
    decider: Decider
    masked_outputs: bool
    quantizers: list[Quantizer] = field(default_factory=list)
    scales: dict[Value, Value] = field(default_factory=dict)  # scale group -> its scale
    asked: dict[Value, dict[Slot, Decision]] = field(default_factory=dict)
    behind: dict[Value, Decision] = field(default_factory=dict)
    groups: UnionFind = field(default_factory=union_find)
    ties: Ties = field(default_factory=Ties)

    def activations(self) -> None:
        """One quantizer for each value that is read in INT8."""
        self.asked = slots = self.decider.requests()
        prepare_scales(self.graph, slots, self.context)
        self.groups = groups = self._groups(slots)
        self.behind = behind = self._behind(slots)
        self.ties = ties(self.decider, slots, behind)  # before quantizers stand in between
        order = {node: index for index, node in enumerate(self.graph.nodes)}
        values = sorted({*slots, *behind}, key=lambda v: _position(v, order, self.graph))
        for value in values:
            asked = slots.get(value, {})
            decision = behind[value] if value in behind else next(iter(asked.values()))
            # Every reader takes the codes that such a kernel writes.
            readers = _reading(value) if value in behind else list(asked)
            readers.sort(key=lambda slot: (order[slot[0]], slot[1]))
            fixed = (d.fixed_scale(value, self.decider.matcher) for d in asked.values())
            known = next((scale for scale in fixed if scale is not None), None)
            scale = self._scale(groups[value], value, known)
            self._quantize(value, scale, None, ACTIVATION_RANGE, readers, decision.fusion)

    def weights(self) -> None:
        """A quantizer for each weight of an INT8 fusion, per output channel."""
        owners = self.decider.owners
        for found in list(weighted(self.graph, self.context.table)):
            decision = owners.get(found.node)
            if decision and not decision.reason:
                prepare_scales(self.graph, [found.weight], self.context)
                self._weight(found, decision)

    def _weight(self, found: Weighted, decision: Decision) -> None:
        weight = found.weight
        axis = self._weight_axis(found, decision)
        channels = () if axis is None or weight.shape is None else (int(weight.shape[axis]),)
        nan = np.full(channels, np.nan, scale_dtype(self.graph, weight))
        scale = self.graph.constant(nan, f"{weight.name}.scale")
        readers = [(found.node, found.operand)]
        self._quantize(weight, scale, axis, WEIGHT_RANGE, readers, decision.fusion)

    def _weight_axis(self, found: Weighted, decision: Decision) -> int | None:
        """The axis of the scales; None where the fusion wants one for the tensor."""
        return None if decision.per_tensor(found.weight) else found.channel_axis

    def _groups(self, slots: dict[Value, dict[Slot, Decision]]) -> UnionFind:
        """Which values must have one scale: those that moved INT8 codes connect."""
        groups: UnionFind = union_find()
        wanted, untied = self.decider.wanted(slots), untied_in(self.graph)
        for node, movement in self.decider.movements.items():
            if self.decider.moves(node, wanted):
                inputs = (v for v in movement.inputs if (v.name, node.output.name) not in untied)
                groups.union(*movement.outputs, *inputs)
        for tie in self.decider.ties:
            if all(value in slots for value in tie.inputs):
                groups.union(*tie.inputs)
        return groups

    def _behind(self, slots: dict[Value, dict[Slot, Decision]]) -> dict[Value, Decision]:
        """The values that get a quantizer although none of their readers runs in INT8."""
        found = {
            value: decision
            for decision in self.decider.decisions
            if not decision.reason
            for value in decision.outputs()
            if not value.is_output
        }
        return {**self._behind_masks(slots), **found}

    def _behind_masks(self, slots: dict[Value, dict[Slot, Decision]]) -> dict[Value, Decision]:
        """The results of masked layers that nobody reads in INT8 yet.

        Only of fusions whose sparse kernels want INT8 out.  A graph output stays float: it was not
        asked for in INT8.
        """
        found_masks = self.context.facts.get(Pruning, Pruning()).masks
        masks = found_masks if self.masked_outputs else {}
        wanted = self.decider.wanted(slots)
        found: dict[Value, Decision] = {}
        for decision in self.decider.decisions:
            value = decision.match.root.output
            layers = {name for n in decision.match.nodes for name in layers_of(n)}
            quantized = value in slots or value in wanted  # by its readers, or behind a move
            wanting = decision.fusion.sparse_outputs and layers & masks.keys()
            if decision.reason or quantized or value.is_output or not wanting:
                continue
            if not any(map(self._stays_whole, value.readers)):
                found[value] = decision
        return found

    def _stays_whole(self, reader: Node) -> bool:
        """Whether a reader in float has no use for codes: a move, since a Concat wants all or
        none, and an operator that multiplies, which is never half quantized."""
        owner = self.decider.owners.get(reader)
        multiplies = owner is not None and owner.multiplies(self.context.table)
        known = reader in self.decider.movements or multiplies
        return known or bool(weight_of(reader, self.context.table))

    def _scale(self, group: Value, value: Value, known: float | None) -> Value:
        """The scale of a group: NaN until it is measured, unless a fusion knows it beforehand."""
        if group not in self.scales:
            dtype = scale_dtype(self.graph, value)
            scale = np.array(np.nan if known is None else known, dtype)
            self.scales[group] = self.graph.constant(scale, f"{value.name}.scale")
        return self.scales[group]

    def _quantize(
        self,
        value: Value,
        scale: Value,
        axis: int | None,
        limits: tuple[int, int],
        readers: list[Slot],
        fusion: FusionDecl,
    ) -> None:
        origin = readers[0][0].origin.after(f"{fusion.span or ''} {fusion.name}".strip())
        insert_quantizer(self.graph, value, scale, axis, limits, readers, origin)
        names = tuple(f"{reader.output.name}.{slot}" for reader, slot in readers)
        self.quantizers.append(Quantizer(value.name, scale.name, axis, names, fusion.name))


def _in_float(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """The rows where only weights are quantized: no layer computes in INT8."""
    reason = "weights only: what it reads is not quantized"
    return tuple(replace(row, int8=False, reason=row.reason or reason) for row in layers)


def _position(value: Value, order: dict[Node, int], graph: Graph) -> tuple[int, int]:
    """Inputs first, then in the order of the nodes."""
    if value.producer is None:
        return -1, graph.inputs.index(value) if value in graph.inputs else 0
    return order[value.producer], value.index


def _reading(value: Value) -> list[Slot]:
    return [(node, slot) for node in value.readers for slot in node.slots_of(value)]


def _layers(graph: Graph, decider: Decider, context: Context) -> Iterable[Layer]:
    """A row for each weighted operator, and for each fusion that has no weight."""
    for node in graph.nodes:
        decision = decider.owners.get(node)
        found = weight_of(node, context.table)
        if found is None and (
            decision is None or decision.weights or decision.match.root is not node
        ):
            continue
        yield Layer(
            name=mark_layer(node),
            op=node.op,
            module=node.origin.module,
            source=node.origin.source,
            weight=found.weight.name if found else None,
            shape=found.weight.shape if found else None,
            fusion=decision.fusion.name if decision else None,
            int8=decision is not None and not decision.reason,
            reason=decision.reason if decision else _uncovered(node, decider),
        )


def _uncovered(node: Node, decider: Decider) -> str:
    miss = decider.cover.why_not_covered(node)
    return miss.reason if miss else "no fusion of the target covers it"
