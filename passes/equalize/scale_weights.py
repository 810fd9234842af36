"""The factors of a group of channels in the weights that write them and in those that read them."""

from __future__ import annotations

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.weighted import Weighted
from sparqc.numerics.arrays import Floats
from sparqc.passes.equalize.group import ChannelGroup, by_group, groups_of, stored_weight


def scale_weights(group: ChannelGroup, factors: Floats) -> None:
    """Let the channels be larger by the factors [C], and what reads them be as it was."""
    for layer in group.writers:
        _scale_outputs(layer, factors)
    for layer in group.readers:
        _scale(layer, (1 / factors).reshape(groups_of(layer.node), 1, -1, 1))


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
