"""Whether factors make INT8 more precise on data that they were not chosen by.

Each group is looked at on its own: from what its layers write, as it is in float, to what its
readers give.  A value x with the factors s is read as Q(s x) / s there, and a weight w as
s Q(w / s): the operators in between let positive factors pass, so this is what the network will
compute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sparqc.ir.constants import is_constant
from sparqc.ir.cut_out import cut_out
from sparqc.ir.graph import Array, Graph, Node, Origin, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.runner import Runner
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import Weighted
from sparqc.numerics.arrays import Floats
from sparqc.numerics.int8_codes import safe_scale
from sparqc.passes.equalize.group import ChannelGroup, by_group, groups_of, stored_weight
from sparqc.passes.equalize.reference import product
from sparqc.passes.on_data.batches import calibration_batches
from sparqc.passes.on_data.held_out import held_back
from sparqc.passes.on_data.observe import Observer
from sparqc.passes.place.half_scales import scale_dtype
from sparqc.passes.place.insert_quantizers import Slot, insert_quantizer
from sparqc.rewrite.context import Context

#: The values that are read in INT8, with the slots that read them so.
Quantized = Mapping[Value, Sequence[Slot]]


@dataclass(frozen=True)
class Candidate:
    """Factors of one group, and how large each of its channels is in the data they come from."""

    group: ChannelGroup
    factors: Floats
    largest: Mapping[Value, Floats]


def measured_gains(
    candidates: Sequence[Candidate],
    quantized: Quantized,
    graph: Graph,
    context: Context,
    batches: int | None,
    held: bool,
) -> dict[ChannelGroup, float]:
    """By how many dB the noise of what each group's readers give becomes smaller, on the images
    that are held back, or on all."""
    trials = [_Trial(c, quantized, graph, context.table) for c in candidates]
    values = list(dict.fromkeys(value for trial in trials for value in trial.reads))
    if not values:
        return {}
    observer = Observer(graph, values, context.table)

    def show(value: Value, array: Array) -> None:
        for trial in trials:
            trial.take(value, array)

    for number, batch in calibration_batches(graph, context, batches):
        part = held_back(graph, number, batch) if held else batch
        if part is not None:
            observer.run(part, show)
    return {trial.group: trial.gain_db for trial in trials}


@dataclass
class _Trial:
    """One group, run in float, in INT8, and in INT8 with factors."""

    candidate: Candidate
    quantized: Quantized
    graph: Graph
    table: OperatorTable
    _waiting: dict[Value, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.group = self.candidate.group
        nodes = _nodes(self.group)
        made = {v for node in nodes for v in node.outputs} - _written(self.group)
        self.reads = list(
            dict.fromkeys(
                v
                for node in nodes
                for v in node.inputs
                if v not in made and not is_constant(v, self.table)
            )
        )
        ones = np.ones_like(self.candidate.factors)
        self._exact = self._runner(None)
        self._runners = [self._runner(ones), self._runner(self.candidate.factors)]
        self._errors = np.zeros((2, len(self.group.readers)))

    def take(self, value: Value, array: Array) -> None:
        """Take in what is observed; run once everything is there."""
        if value not in self.reads:
            return
        self._waiting[value] = array
        if len(self._waiting) < len(self.reads):
            return
        batch = [self._waiting[v] for v in self.reads]
        self._waiting.clear()
        exact, _ = self._exact.run(batch)
        for index, runner in enumerate(self._runners):
            found, _ = runner.run(batch)
            self._errors[index] += [
                _power(f - e) / (_power(e) or 1.0) for f, e in zip(found, exact, strict=True)
            ]

    @property
    def gain_db(self) -> float:
        """How much smaller the noise relative to the signal is with factors; 0 without any."""
        before, after = self._errors.sum(axis=1)
        return 10 * float(np.log10(before / after)) if before and after else 0.0

    def _runner(self, factors: Floats | None) -> Runner:
        """The group's part of the graph, in float or in INT8 with factors."""
        given = [layer.node.output for layer in self.group.readers]
        part = cut_out(self.graph, self.reads, given)
        if factors is not None:
            for value, slots in self.quantized.items():
                if value in self.group.axes:
                    self._round_value(part, value, slots, factors)
            for layer in self.group.readers:
                if (layer.node, "x") in self.quantized.get(_read(layer.node), ()):
                    stored = part.value(stored_weight(layer).name)
                    assert stored.data is not None
                    stored.data = _rounded(stored.data, layer, factors)
            part.sort()
        return open_runner(part, self.table)

    def _round_value(
        self, part: Graph, value: Value, slots: Sequence[Slot], factors: Floats
    ) -> None:
        """Let those who read a value in INT8 read Q(s x) / s."""
        index = self.reads.index(value) if value in self.reads else None
        own = part.value(value.name) if index is None else part.inputs[index]
        axis = self.group.axes[value]
        scaled = product(part, own, factors, axis, None)
        back = product(part, scaled, 1 / factors, axis, None)
        assert back.producer is not None
        amax = float((factors * self.candidate.largest[value]).max())
        step = safe_scale(np.asarray(amax / 127), scale_dtype(part, own))
        scale = part.constant(step, f"{value.name}.scale")
        readers = [(back.producer, "a")]
        insert_quantizer(part, scaled, scale, None, (-128, 127), readers, Origin())
        for node, slot in slots:
            if node.output.name in part:
                reader = part.value(node.output.name).producer
                assert reader is not None
                part.redirect(reader, slot, own, back)


def _nodes(group: ChannelGroup) -> list[Node]:
    """The layers that read the channels, and what stands between them and those that write them."""
    written = _written(group)
    made = [v.producer for v in group.axes if v not in written and v.producer is not None]
    return list(dict.fromkeys([*made, *(layer.node for layer in group.readers)]))


def _written(group: ChannelGroup) -> set[Value]:
    return {layer.node.output for layer in group.writers}


def _read(node: Node) -> Value:
    x = node.operands["x"]
    assert isinstance(x, Value)
    return x


def _rounded(weight: Array, layer: Weighted, factors: Floats) -> Array:
    """s Q(w / s), with a scale for each output channel."""
    found = weight.astype(np.float64)
    grouped = by_group(found, layer)
    s = factors.reshape(groups_of(layer.node), 1, -1, 1)
    divided = grouped / s
    step = np.abs(divided).max(axis=(2, 3), keepdims=True) / 127
    step = np.where(step > 0, step, 1.0)
    grouped[...] = np.rint(divided / step) * step * s
    return found.astype(weight.dtype)


def _power(x: Array) -> float:
    return float(np.square(x, dtype=np.float64).sum())
