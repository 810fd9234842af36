"""Put Q/DQ where the target's fusions want it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from networkx.utils import UnionFind

from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Graph, Node, TensorType, Value
from sparqc.passbase import Context, Pass
from sparqc.passes.decide import Decider, Decision, Slot
from sparqc.passes.plan import Layer, Plan, Quantizer
from sparqc.passes.prune import Mask
from sparqc.registry import register

ACTIVATION_RANGE = (-128, 127)
#: Weights leave out -128, so that the range is symmetric.
WEIGHT_RANGE = (-127, 127)


@register
@dataclass(frozen=True)
class Place(Pass):
    """Insert quantizers: on every operand that an INT8 fusion reads, one Q for each value.

    Values between which a scale passes unchanged get one scale.  Scales stay NaN until `calibrate`
    measures them.  The plan, with the reason for every layer that stays in float, goes into the
    report.
    """

    name = "place"
    preserves = "exact"  # an uncalibrated quantizer passes its input through

    def run(self, graph: Graph, context: Context) -> int:
        """Insert the quantizers; returns how many."""
        decider = Decider(graph, context)
        plan = Plan(layers=list(_layers(graph, decider, context)))
        placement = _Placement(graph, context, decider, plan)
        placement.activations()
        placement.weights()
        graph.sort()
        context.facts["place"] = plan
        return len(plan.quantizers)


@dataclass
class _Placement:
    """The insertion of quantizers into one graph."""

    graph: Graph
    context: Context
    decider: Decider
    plan: Plan
    scales: dict[Value, Value] = field(default_factory=dict)  # scale group -> its scale

    def activations(self) -> None:
        """One quantizer for each value that is read in INT8."""
        slots = self.decider.requests()
        groups = self._groups(slots)
        behind = self._behind_masks(slots)
        order = {node: index for index, node in enumerate(self.graph.nodes)}
        values = sorted({*slots, *behind}, key=lambda v: _position(v, order, self.graph))
        for value in values:
            decision = next(iter(slots[value].values())) if value in slots else behind[value]
            readers = list(slots.get(value, {}))
            if value in behind:  # every reader takes the codes that the sparse kernel writes
                readers = [
                    (n, s) for n in value.readers for s, v in n.operands.items() if v is value
                ]
            scale = self._scale(groups[value], np.array(np.nan, np.float32), value)
            readers.sort(key=lambda slot: (order[slot[0]], slot[1]))
            self._quantize(value, scale, None, ACTIVATION_RANGE, readers, decision)

    def weights(self) -> None:
        """A quantizer for each weight of an INT8 fusion, per output channel."""
        for decision in self.decider.decisions:
            if decision.reason:
                continue
            for node in decision.match.nodes:
                operator = self.context.table.get(node.op)
                if operator is None or operator.weight is None:
                    continue
                weight = node.operands[operator.weight.operand]
                if not isinstance(weight, Value) or not is_constant(weight, self.context.table):
                    continue
                axis = self._weight_axis(node, operator.weight.channel_axis(node))
                channels = (
                    () if axis is None or weight.shape is None else (int(weight.shape[axis]),)
                )
                scale = self.graph.constant(
                    np.full(channels, np.nan, np.float32), f"{weight.name}.scale"
                )
                slot = (node, operator.weight.operand)
                self._quantize(weight, scale, axis, WEIGHT_RANGE, [slot], decision)

    def _weight_axis(self, node: Node, axis: int) -> int | None:
        """The axis of the scales; some targets want transposed convolutions per tensor."""
        per_tensor = self.context.target.conv_transpose_scale == "tensor"
        return None if per_tensor and node.op == "nn.conv_transpose" else axis

    def _groups(self, slots: dict[Value, dict[Slot, Decision]]) -> UnionFind:
        """Which values must have one scale: those that moved INT8 codes connect."""
        groups = UnionFind(slots)
        wanted = self.decider.wanted(slots)
        for node, movement in self.decider.movements.items():
            if self.decider.moves(node, wanted):
                groups.union(*movement.inputs, *movement.outputs)
        return groups

    def _behind_masks(self, slots: dict[Value, dict[Slot, Decision]]) -> dict[Value, Decision]:
        """The results of masked layers that nobody reads in INT8 yet.

        Sparse kernels want INT8 in and INT8 out.  A graph output stays float: it was not asked for
        in INT8.
        """
        masks: dict[str, Mask] = self.context.facts.get("prune", {})
        found: dict[Value, Decision] = {}
        for decision in self.decider.decisions:
            value = decision.match.root.output
            layers = {v.name for n in decision.match.nodes for v in n.outputs}
            if decision.reason or value in slots or value.is_output or not layers & masks.keys():
                continue
            found[value] = decision
        return found

    def _scale(self, group: Value, nan: np.ndarray, value: Value) -> Value:
        if group not in self.scales:
            self.scales[group] = self.graph.constant(nan, f"{value.name}.scale")
        return self.scales[group]

    def _quantize(
        self,
        value: Value,
        scale: Value,
        axis: int | None,
        limits: tuple[int, int],
        readers: list[Slot],
        decision: Decision,
    ) -> None:
        before = readers[0][0]
        origin = before.origin.after(f"{decision.fusion.span or ''} {decision.fusion.name}".strip())
        if self.graph.level == "fx":
            node = self.graph.create(
                "q.qdq",
                {"x": value, "scale": scale, "zero_point": None},
                {"axis": axis, "low": limits[0], "high": limits[1]},
                types=[value.type],
                names=[f"{value.name}.qdq"],
                before=before,
                origin=origin,
            )
            for reader, slot in readers:
                self.graph.set_operand(reader, slot, node.output)
        else:
            zero = self.graph.constant(
                np.zeros(() if axis is None else scale.shape, np.int8), f"{value.name}.zero_point"
            )
            codes = self.graph.create(
                "q.quantize",
                {"x": value, "scale": scale, "zero_point": zero},
                {"axis": axis},
                types=[TensorType("i8", value.shape)],
                names=[f"{value.name}.q"],
                before=before,
                origin=origin,
            )
            for reader, slot in readers:
                node = self.graph.create(
                    "q.dequantize",
                    {"x": codes.output, "scale": scale, "zero_point": zero},
                    {"axis": axis},
                    types=[value.type],
                    names=[f"{value.name}.dq"],
                    before=reader,
                    origin=origin,
                )
                self.graph.set_operand(reader, slot, node.output)
        names = tuple(f"{reader.output.name}.{slot}" for reader, slot in readers)
        self.plan.quantizers.append(
            Quantizer(value.name, scale.name, axis, names, decision.fusion.name)
        )


def _position(value: Value, order: dict[Node, int], graph: Graph) -> tuple[int, int]:
    """Inputs first, then in the order of the nodes."""
    if value.producer is None:
        return -1, graph.inputs.index(value) if value in graph.inputs else 0
    return order[value.producer], value.index


def _layers(graph: Graph, decider: Decider, context: Context) -> Iterable[Layer]:
    """A row for each weighted operator and each other operator that a fusion could run in INT8."""
    owners = {node: d for d in decider.decisions for node in d.match.nodes}
    for node in graph.nodes:
        operator = context.table.get(node.op)
        weight = (
            node.operands.get(operator.weight.operand) if operator and operator.weight else None
        )
        decision = owners.get(node)
        if not isinstance(weight, Value) and (decision is None or decision.match.root is not node):
            continue
        if decision and not isinstance(weight, Value) and decision.weighted:
            continue  # the tail of a fusion whose weighted operator has its own row
        yield Layer(
            name=node.output.name,
            op=node.op,
            module=node.origin.module,
            source=node.origin.source,
            weight=weight.name if isinstance(weight, Value) else None,
            shape=weight.shape if isinstance(weight, Value) else None,
            fusion=decision.fusion.name if decision else None,
            int8=decision is not None and not decision.reason,
            reason=decision.reason if decision else "no fusion of the target covers it",
        )
