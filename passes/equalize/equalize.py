"""Give the channels between layers equal ranges, and let the network compute the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import Weighted
from sparqc.passes.equalize.equalized import Equalization, Equalized
from sparqc.passes.equalize.factors import Floats, Reading, Weight, choose, noise
from sparqc.passes.equalize.group import (
    ChannelGroup,
    by_group,
    channel_groups,
    groups_of,
    stored_weight,
)
from sparqc.passes.equalize.reference import scale_channels
from sparqc.passes.equalize.statistics import ChannelStatistics
from sparqc.passes.on_data.batches import calibration_batches, check_limit, not_finite
from sparqc.passes.on_data.observe import Observer
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
    pools, Adds of such branches) each channel may be scaled, and the network computes the same.
    The factors make the predicted noise of the layers behind the smallest: that of their input,
    whose channels want equal ranges, and that of their weights, whose columns must not grow too
    unequal.

    A Clip such as ReLU6 does not scale.  Channels that reach it in the calibration data keep the
    factor 1; others are scaled up to it at most.  Runs behind `fold` and in front of `place`.

    Channels that the calibration data hardly excites may be large on other data, which the shared
    range would then cut off: each is taken for larger than it was seen, by `margin` standard
    deviations of the logarithm of its peaks in the images, but not for larger than the largest.
    (On ResNet-50, calibrated on photographs of other things than those it is used on, factors
    without a margin cost 5 dB.)

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
        seen = _observe(usable, graph, context, self.batches) if usable else {}
        # All factors are chosen from the weights as they are, hence in any order the same.
        chosen = {g: _factors(g, seen, context.table, self.margin) for g in usable}
        rows = [
            _carry_out(group, *chosen[group], graph, context)
            if group in chosen
            else _row(group, reason=group.reason)
            for group in groups
        ]
        context.facts.put(Equalization(tuple(rows)))
        return sum(not row.reason for row in rows)


def _observe(
    usable: Sequence[ChannelGroup], graph: Graph, context: Context, batches: int | None
) -> dict[Value, ChannelStatistics]:
    """Statistics of what layers and Clips read, by the value."""
    seen = {
        value: ChannelStatistics(group.axes[value])
        for group in usable
        for value in (*group.read, *group.limits)
    }
    observer = Observer(graph, list(seen), context.table)
    number = 0

    def show(value: Value, array: Array) -> None:
        try:
            seen[value].add(array)
        except ValueError:
            raise not_finite(repr(value.name), number) from None

    for number, batch in calibration_batches(graph, context, batches):  # noqa: B007
        observer.run(batch, show)
    return seen


def _factors(
    group: ChannelGroup,
    seen: dict[Value, ChannelStatistics],
    table: OperatorTable,
    margin: float,
) -> tuple[Floats, float]:
    """The factors, and the gain in dB that they promise."""
    readings = [
        Reading(
            [_weight(layer, table) for layer in layers],
            seen[value].expected(margin),
            seen[value].mean_square,
        )
        for value, layers in group.read.items()
    ]
    caps = np.full(group.channels, np.inf)
    for value, limit in group.limits.items():
        largest = seen[value].largest
        caps = np.minimum(caps, limit / np.where(largest > 0, largest, limit))
    factors = choose(readings, caps)
    before, after = noise(readings, np.ones_like(factors)), noise(readings, factors)
    return factors, 10 * float(np.log10(before / after)) if after else 0.0


def _weight(layer: Weighted, table: OperatorTable) -> Weight:
    weight = constant_value(layer.weight, table)
    assert weight is not None
    return Weight.of(by_group(weight, layer.node))


def _carry_out(
    group: ChannelGroup, factors: Floats, gain: float, graph: Graph, context: Context
) -> Equalized:
    """Scale the weights, and the same values of the model as it was read."""
    if gain < _LEAST_GAIN:
        return _row(group, reason="its channels are equal enough for INT8")
    if context.reference and not scale_channels(group, factors, graph, context.reference):
        return _row(group, reason="the model as it was read has no such values")
    for layer in group.writers:
        _scale_outputs(layer, factors)
    for layer in group.readers:
        _scale(layer, (1 / factors).reshape(groups_of(layer.node), 1, -1, 1))
    return _row(group, factors, gain)


def _row(
    group: ChannelGroup, factors: Floats | None = None, gain: float = 0.0, reason: str = ""
) -> Equalized:
    factors = np.ones(1) if factors is None else factors
    return Equalized(
        layers=tuple(layer.node.output.name for layer in group.writers),
        modules=tuple(layer.node.origin.module for layer in group.writers),
        channels=group.channels,
        least=float(factors.min()),
        most=float(factors.max()),
        gain_db=gain,
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
    by_group(scaled, layer.node)[...] *= factors
    stored.data = scaled.astype(stored.data.dtype)


def _multiply(bias: Value, reader: Node, factors: Floats) -> None:
    """Multiply a bias, for one of its readers alone."""
    assert bias.data is not None
    data = (bias.data * factors).astype(bias.data.dtype)
    if bias.readers == (reader,) and not bias.is_output:
        bias.data = data
    else:
        reader.graph.set_operand(reader, "b", reader.graph.constant(data, bias.name))
