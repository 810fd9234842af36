"""Measure what BatchNorms that were put back normalise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.runner import StreamingRunner
from sparqc.rewrite.context import Context
from sparqc.training.normalization import operand


class _Moments:
    """Mean and variance of each channel (axis 1), in float64, merged batch by batch.

    Source: Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm, 1979, formula 2.1.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Array = np.zeros(1)
        self.squares: Array = np.zeros(1)

    def add(self, x: Array) -> None:
        wide = np.moveaxis(x.astype(np.float64), 1, 0).reshape(x.shape[1], -1)
        count, mean = wide.shape[1], wide.mean(1)
        squares = ((wide - mean[:, None]) ** 2).sum(1)
        total, delta = self.count + count, mean - self.mean
        self.squares = self.squares + squares + delta**2 * (self.count * count / total)
        self.mean = self.mean + delta * (count / total)
        self.count = total


def measure_statistics(graph: Graph, nodes: Sequence[Node], context: Context) -> None:
    """Give BatchNorms the mean and variance that their inputs have on the calibration data.

    They are factors and offsets until then (mean 0, variance 1), and what they compute stays the
    same: scale and bias follow.  Raises UsageError where there is no calibration data.
    """
    inputs = {cast(Value, operand(node, "x")): node for node in nodes}
    moments = {value: _Moments() for value in inputs}
    runner = open_runner(graph, context.table)
    assert isinstance(runner, StreamingRunner)
    for batch in _batches(context):
        runner.stream(batch, list(inputs), lambda value, array: moments[value].add(array))
    for value, node in inputs.items():
        if moments[value].count < 2:
            raise SparqcError(
                f"{node.output.name!r} saw {moments[value].count} values a channel: that has no "
                "variance",
                hint="give more calibration data",
            )
        _set(node, moments[value])


def _batches(context: Context) -> list[Sequence[Array]]:
    """The calibration batches, which the passes in front have checked already."""
    if context.calibration is None:
        raise SparqcError(
            "a pass has changed layers whose BatchNorm was folded, and there is no calibration "
            "data to measure the statistics on",
            hint='give calibration=, or prepare with batch_norm="folded"',
        )
    return list(context.calibration())


def _set(node: Node, found: _Moments) -> None:
    epsilon = cast(float, node.attributes["epsilon"])
    variance = found.squares / (found.count - 1)
    scale, bias, mean, var = (
        cast(Value, operand(node, s)) for s in ("scale", "bias", "mean", "var")
    )
    factor = cast(Array, scale.data).astype(np.float64) / np.sqrt(1 + epsilon)
    offset = cast(Array, bias.data).astype(np.float64) + factor * found.mean
    data = (factor * np.sqrt(variance + epsilon), offset, found.mean, variance)
    for value, array in zip((scale, bias, mean, var), data, strict=True):
        value.data = array.astype(np.float32)
