"""Give the channels between layers equal ranges, and let the network compute the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import Weighted
from sparqc.numerics.arrays import Floats
from sparqc.passes.equalize.equalized import Equalization, Equalized
from sparqc.passes.equalize.factors import Reading, Skip, Weight, choose, noise
from sparqc.passes.equalize.group import (
    ChannelGroup,
    by_group,
    channel_groups,
    groups_of,
    stored_weight,
)
from sparqc.passes.equalize.judge import Candidate, Quantized, measured_gains
from sparqc.passes.equalize.reference import scale_channels
from sparqc.passes.equalize.statistics import ChannelStatistics
from sparqc.passes.on_data.batches import calibration_batches, check_limit, not_finite
from sparqc.passes.on_data.held_out import LEAST, held_back, to_fit
from sparqc.passes.on_data.observe import Observer
from sparqc.passes.place.decide import Decider
from sparqc.passes.place.half_scales import prepare_scales
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context

#: A link whose noise becomes so much smaller is worth changed weights, in dB.
_LEAST_GAIN = 0.05


@register
@dataclass(frozen=True)
class Equalize(Pass):
    """Move a factor per channel from one layer's weights to the next ones', so that INT8 fits both.

    One scale serves all channels of an activation: those of small range get few codes.  Between
    layers with nothing but positively homogeneous operators in between (ReLU, LeakyReLU, PReLU,
    pools, resizes, Adds of such branches) each channel may be scaled, and the network computes the
    same.  The factors make the predicted noise of the layers behind the smallest: that of their
    input, whose channels want equal ranges, and that of their weights, whose columns must not grow
    too unequal.

    A Clip such as ReLU6 does not scale.  Channels that reach it in the calibration data keep the
    factor 1; others are scaled up to it at most.  Runs behind `fold` and in front of `place`.

    Channels that the calibration data hardly excites may be large on other data, which the shared
    range would then cut off: each is taken for larger than it was seen, by `margin` standard
    deviations of the logarithm of its peaks in the images, but not for larger than the largest.
    (On ResNet-50, calibrated on photographs of other things than those it is used on, factors
    without a margin cost 5 dB.)

    What reads channels in INT8 beside the layers, such as a residual Add, counts too: its range
    grows with the factors.  A group whose factors make INT8 worse keeps its weights as they were,
    and its row says by how much: measured on a quarter of each calibration batch, with the factors
    that the rest gives.  Where that is fewer than 8 images, all of them give factors and judge.

    Source: M. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
    ICCV 2019, section 4.1, there with ranges of the weights on both sides.
    """

    name = "equalize"
    preserves = "close"
    keeps = "outputs"
    margin: float = 2.0
    batches: int | None = None  # at most so many; none: all

    def __post_init__(self) -> None:
        check_limit(self.batches)
        if not self.margin >= 0:
            raise ValueError("margin must not be negative")

    def run(self, graph: Graph, context: Context) -> int:
        """Scale the weights; returns of how many groups of channels."""
        groups = channel_groups(graph, context.table)
        usable = [group for group in groups if not group.reason]
        # All factors are chosen from the weights as they are, hence in any order the same.
        chosen = self._chosen(usable, graph, context) if usable else {}
        rows = [
            _carry_out(group, chosen[group], graph, context)
            if group in chosen
            else _row(group, reason=group.reason)
            for group in groups
        ]
        context.facts.put(Equalization(tuple(rows)))
        return sum(not row.reason for row in rows)

    def _chosen(
        self, usable: Sequence[ChannelGroup], graph: Graph, context: Context
    ) -> dict[ChannelGroup, _Choice]:
        """The factors of each group, what they promise, and what they hold on other data."""
        slots = Decider(graph, context).requests()
        quantized = {value: list(asked) for value, asked in slots.items()}
        prepare_scales(graph, quantized, context)
        seen = _observe(usable, quantized, graph, context, self.batches)
        held = seen.held >= LEAST
        fitted = seen.fitted if held else seen.whole
        found: dict[ChannelGroup, tuple[Floats, float]] = {}
        candidates: list[Candidate] = []
        for g in usable:
            reads = _Reads(g, quantized, context.table, seen, self.margin)
            found[g] = reads.factors(seen.whole)
            if found[g][1] >= _LEAST_GAIN:
                factors = reads.factors(fitted)[0] if held else found[g][0]
                largest = {v: s.largest for v, s in fitted.items() if v in g.axes}
                candidates.append(Candidate(g, factors, largest))
        gains = measured_gains(candidates, quantized, graph, context, self.batches, held)
        return {g: _Choice(*pair, gains.get(g, 0.0)) for g, pair in found.items()}


@dataclass(frozen=True)
class _Choice:
    """Factors, and the gains in dB that are predicted and measured."""

    factors: Floats
    gain: float
    measured: float


@dataclass
class _Seen:
    """What the calibration data show of the values that layers, Clips and quantizers read."""

    #: Without the images that are held back, and of all.
    fitted: dict[Value, ChannelStatistics]
    whole: dict[Value, ChannelStatistics]
    batches: int = 0
    #: How many images are held back.
    held: int = 0

    def fit(self, value: Value, array: Array) -> None:
        """Take in what may be fitted to."""
        self._add(self.fitted, value, array)
        self._add(self.whole, value, array)

    def hold(self, value: Value, array: Array) -> None:
        """Take in what is held back."""
        self._add(self.whole, value, array)

    def _add(self, of: dict[Value, ChannelStatistics], value: Value, array: Array) -> None:
        try:
            of[value].add(array)
        except ValueError:
            raise not_finite(repr(value.name), self.batches) from None


def _observe(
    usable: Sequence[ChannelGroup],
    quantized: Quantized,
    graph: Graph,
    context: Context,
    batches: int | None,
) -> _Seen:
    """Statistics of the values, by the value."""
    axes = {
        value: group.axes[value]
        for group in usable
        for value in (*group.read, *group.limits, *_skips(group, quantized))
    }
    fitted, whole = ({v: ChannelStatistics(axis) for v, axis in axes.items()} for _ in range(2))
    seen = _Seen(fitted, whole)
    observer = Observer(graph, list(axes), context.table)
    for seen.batches, batch in calibration_batches(graph, context, batches):
        part, rest = to_fit(graph, seen.batches, batch), held_back(graph, seen.batches, batch)
        if part is not None:
            observer.run(part, seen.fit)
        if rest is not None:
            seen.held += len(rest[0])
            observer.run(rest, seen.hold)
    return seen


def _skips(group: ChannelGroup, quantized: Quantized) -> list[Value]:
    """The values of a group that are read in INT8, but by no layer."""
    read = group.read
    return [value for value in group.axes if value in quantized and value not in read]


class _Reads:
    """What reads the channels of a group, and so decides on its factors."""

    def __init__(
        self,
        group: ChannelGroup,
        quantized: Quantized,
        table: OperatorTable,
        seen: _Seen,
        margin: float,
    ) -> None:
        self._group, self._margin = group, margin
        self._skips = _skips(group, quantized)
        self._weights = {layer.node: _weight(layer, table) for layer in group.readers}
        self._caps = np.full(group.channels, np.inf)
        for value, limit in group.limits.items():
            largest = seen.whole[value].largest
            self._caps = np.minimum(self._caps, limit / np.where(largest > 0, largest, limit))

    def factors(self, seen: Mapping[Value, ChannelStatistics]) -> tuple[Floats, float]:
        """The factors, and the gain in dB that they promise."""
        readings = [
            Reading(self._of(layers), seen[v].expected(self._margin), seen[v].mean_square)
            for v, layers in self._group.read.items()
        ]
        skips = [
            Skip(self._of(self._group.behind(v)), seen[v].expected(self._margin))
            for v in self._skips
        ]
        factors = choose(readings, self._caps, skips)
        rounded: list[Reading | Skip] = [*readings, *skips]
        before, after = noise(rounded, np.ones_like(factors)), noise(rounded, factors)
        return factors, 10 * float(np.log10(before / after)) if after else 0.0

    def _of(self, layers: Iterable[Weighted]) -> list[Weight]:
        return [self._weights[layer.node] for layer in layers]


def _weight(layer: Weighted, table: OperatorTable) -> Weight:
    weight = constant_value(layer.weight, table)
    assert weight is not None
    return Weight.of(by_group(weight, layer))


def _carry_out(group: ChannelGroup, choice: _Choice, graph: Graph, context: Context) -> Equalized:
    """Scale the weights, and the same values of the model as it was read."""
    factors = choice.factors
    if choice.gain < _LEAST_GAIN:
        return _row(group, reason="its channels are equal enough for INT8")
    if choice.measured < 0:
        lost = f"{-choice.measured:.1f} dB"
        return _row(group, reason=f"undone: on calibration data its factors lose {lost}")
    if context.reference and not scale_channels(group, factors, graph, context.reference):
        return _row(group, reason="the model as it was read has no such values")
    for layer in group.writers:
        _scale_outputs(layer, factors)
    for layer in group.readers:
        _scale(layer, (1 / factors).reshape(groups_of(layer.node), 1, -1, 1))
    return _row(group, choice)


def _row(group: ChannelGroup, choice: _Choice | None = None, reason: str = "") -> Equalized:
    factors = np.ones(1) if choice is None else choice.factors
    return Equalized(
        layers=tuple(layer.node.output.name for layer in group.writers),
        modules=tuple(layer.node.origin.module for layer in group.writers),
        channels=group.channels,
        least=float(factors.min()),
        most=float(factors.max()),
        gain_db=choice.gain if choice else 0.0,
        measured_db=choice.measured if choice else 0.0,
        reason=reason,
    )


def _scale_outputs(layer: Weighted, factors: Floats) -> None:
    """Multiply the weight and the bias."""
    _scale(layer, factors.reshape(groups_of(layer.node), -1, 1, 1))
    bias = layer.node.operands["b"]
    if isinstance(bias, Value):
        _multiply(bias, layer.node, factors)


def _scale(layer: Weighted, factors: Floats) -> None:
    """Multiply a weight by factors that broadcast to [groups, outputs, inputs, taps]."""
    stored = stored_weight(layer)
    assert stored.data is not None
    scaled = stored.data.astype(np.float64)
    by_group(scaled, layer)[...] *= factors
    stored.data = scaled.astype(stored.data.dtype)


def _multiply(bias: Value, reader: Node, factors: Floats) -> None:
    """Multiply a bias, for one of its readers alone."""
    assert bias.data is not None
    data = (bias.data * factors).astype(bias.data.dtype)
    if bias.readers == (reader,) and not bias.is_output:
        bias.data = data
    else:
        reader.graph.set_operand(reader, "b", reader.graph.constant(data, bias.name))
