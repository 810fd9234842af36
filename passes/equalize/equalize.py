"""Give the channels between layers equal ranges, and let the network compute the same."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Array, Graph, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import Weighted
from sparqc.numerics.arrays import Floats
from sparqc.passes.equalize.equalized import Equalization, Equalized
from sparqc.passes.equalize.factors import Reading, Skip, Weight, choose, noise
from sparqc.passes.equalize.group import (
    ChannelGroup,
    by_group,
    channel_groups,
    layers_without_factors,
    outputs_of,
)
from sparqc.passes.equalize.judge_factors import judge_factors, name_of_group
from sparqc.passes.equalize.reference import scale_channels
from sparqc.passes.equalize.scale_weights import scale_weights
from sparqc.passes.equalize.statistics import ChannelStatistics
from sparqc.passes.on_data.batches import check_limit, not_finite
from sparqc.passes.on_data.held_out import Split
from sparqc.passes.on_data.observe import Observer
from sparqc.passes.on_data.transaction import Judgement, note
from sparqc.passes.place.decide import Decider
from sparqc.passes.place.half_scales import prepare_scales
from sparqc.passes.place.insert_quantizers import Slot
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context

#: The values that are read in INT8, with the slots that read them so.
Quantized = Mapping[Value, Sequence[Slot]]
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
    grows with the factors.

    Factors are chosen without a quarter of each calibration batch first.  That quarter judges: the
    network is quantized and calibrated with and without them, and they stay only where its outputs
    come nearer to those in float, all of them, or those of a half or a quarter of the groups.  With
    fewer than 8 such samples nothing is scaled.  `corrected` judges networks whose biases are
    corrected, for a pipeline with `correct-bias`.  `always` chooses by everything, and scales
    untried.

    Source: M. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
    ICCV 2019, section 4.1, there with ranges of the weights on both sides.
    """

    name = "equalize"
    preserves = "close"
    keeps = "outputs"
    margin: float = 2.0
    corrected: bool = False
    always: bool = False
    batches: int | None = None  # at most so many; none: all

    def __post_init__(self) -> None:
        check_limit(self.batches)
        if not self.margin >= 0:
            raise ValueError("margin must not be negative")

    def run(self, graph: Graph, context: Context) -> int:
        """Scale the weights; returns of how many groups of channels."""
        groups = channel_groups(graph, context.table)
        usable = [group for group in groups if not group.reason]
        split = Split(graph, context, self.batches, judged=not self.always)
        # All factors are chosen from the weights as they are, hence in any order the same.
        chosen, final = self._chosen(usable, graph, split, context) if usable else ({}, {})
        worth = {g: c.factors for g, c in chosen.items() if c.gain >= _LEAST_GAIN}
        found = None
        if not self.always:
            found = judge_factors(
                graph, groups, worth, split, self.name, context, corrected=self.corrected
            )
            note(context.facts, found)
        rows = [_carry_out(group, final.get(group), found, graph, context) for group in groups]
        rows += [_left(layer) for layer in layers_without_factors(graph, context.table)]
        context.facts.put(Equalization(tuple(rows)))
        return sum(not row.reason for row in rows)

    def _chosen(
        self, usable: Sequence[ChannelGroup], graph: Graph, split: Split, context: Context
    ) -> tuple[dict[ChannelGroup, _Choice], dict[ChannelGroup, _Choice]]:
        """The factors of each group, and what they promise: those to be judged, and those that
        follow from all the data."""
        slots = Decider(graph, context).requests()
        quantized = {value: list(asked) for value, asked in slots.items()}
        prepare_scales(graph, quantized, context)
        fitted, whole = _observe(usable, quantized, graph, split, context)
        reads = {g: _Reads(g, quantized, context.table, whole, self.margin) for g in usable}
        final = {g: reads[g].choice(whole) for g in usable}
        return ({g: reads[g].choice(fitted) for g in usable} if split.held else final), final


@dataclass(frozen=True)
class _Choice:
    """Factors, and the gain in dB that is predicted."""

    factors: Floats
    gain: float


#: What the calibration data show of the values that layers, Clips and quantizers read.
_Seen = Mapping[Value, ChannelStatistics]


def _observe(
    usable: Sequence[ChannelGroup],
    quantized: Quantized,
    graph: Graph,
    split: Split,
    context: Context,
) -> tuple[_Seen, _Seen]:
    """Statistics of the values, by the value: without what is held back, and of all."""
    axes = {
        value: group.axes[value]
        for group in usable
        for value in (*group.read, *group.limits, *_skips(group, quantized))
    }
    seen = {v: ChannelStatistics(axis) for v, axis in axes.items()}
    observer = Observer(graph, list(axes), context.table)

    def show(value: Value, array: Array) -> None:
        try:
            seen[value].add(array)
        except ValueError:
            raise not_finite(repr(value.name), context.batch) from None

    for _, batch in split.fitted():
        observer.run(batch, show)
    fitted = copy.deepcopy({value.name: seen[value] for value in seen}) if split.held else {}
    for batch in split.held:
        observer.run(batch, show)
    return {v: fitted.get(v.name, seen[v]) for v in seen}, seen


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
            largest = seen[value].largest
            self._caps = np.minimum(self._caps, limit / np.where(largest > 0, largest, limit))

    def choice(self, seen: _Seen) -> _Choice:
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
        return _Choice(factors, 10 * float(np.log10(before / after)) if after else 0.0)

    def _of(self, layers: Iterable[Weighted]) -> list[Weight]:
        return [self._weights[layer.node] for layer in layers]


def _weight(layer: Weighted, table: OperatorTable) -> Weight:
    weight = constant_value(layer.weight, table)
    assert weight is not None
    return Weight.of(by_group(weight, layer))


def _carry_out(
    group: ChannelGroup,
    choice: _Choice | None,
    found: Judgement | None,
    graph: Graph,
    context: Context,
) -> Equalized:
    """Scale the weights, and the same values of the model as it was read."""
    if choice is None:
        return _row(group, reason=group.reason)
    if choice.gain < _LEAST_GAIN:
        return _row(group, reason="its channels are equal enough for INT8")
    if found is not None and name_of_group(group) not in found.kept:
        undone = "undone: with its factors the outputs came no nearer on data that is held back"
        return _row(group, reason=found.reason or undone)
    if not context.action.decides(*_touched(group)):
        return _row(group, reason="beyond --limit")
    if context.reference and not scale_channels(group, choice.factors, graph, context.reference):
        return _row(group, reason="the model as it was read has no such values")
    scale_weights(group, choice.factors)
    return _row(group, choice)


def _touched(group: ChannelGroup) -> Iterator[str]:
    """The weights whose numbers change."""
    for layer in (*group.writers, *group.readers):
        yield from (layer.weight.name, layer.node.output.name)


def _left(layer: Weighted) -> Equalized:
    node = layer.node
    reason = f"{node.op} takes no factors, only convolutions and linear layers with their bias do"
    return Equalized((node.output.name,), (node.origin.module,), outputs_of(layer), reason=reason)


def _row(group: ChannelGroup, choice: _Choice | None = None, reason: str = "") -> Equalized:
    factors = np.ones(1) if choice is None else choice.factors
    return Equalized(
        layers=tuple(layer.node.output.name for layer in group.writers),
        modules=tuple(layer.node.origin.module for layer in group.writers),
        channels=group.channels,
        least=float(factors.min()),
        most=float(factors.max()),
        gain_db=choice.gain if choice else 0.0,
        reason=reason,
    )
