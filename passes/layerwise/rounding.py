"""INT8 codes of the weights, chosen together: what one rounds away, the others make good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from sparqc.ir.constants import constant_value
from sparqc.ir.fx.tensor import tensor_of
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.quantizers import DEQUANTIZE, FAKE_QUANTIZE, QUANTIZE
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import Weighted, weighted
from sparqc.numerics.int8_codes import safe_scale
from sparqc.numerics.two_four import is_two_four
from sparqc.passes.layerwise.damping import best_share, damped
from sparqc.passes.layerwise.descend import fit
from sparqc.passes.layerwise.matrix_form import MatrixForm, matrix_form
from sparqc.passes.layerwise.normal_equations import Problem
from sparqc.passes.layerwise.repair import Solution, Task, free_mean, given, refusal
from sparqc.passes.layerwise.solve import codes
from sparqc.passes.layerwise.sweep import rounded
from sparqc.passes.layerwise.walk import Stop
from sparqc.passes.on_data.reference_value import reference_value

#: Shares of max|w| that are tried as the range of an output channel's codes.
RANGES = torch.linspace(1, 0.6, 17)
#: The damping of GPTQ, as a share of the mean squared input; more where samples are few.
ROUNDING = 0.01
#: The largest code of a weight in a Q/DQ pair, whose scale is that of the largest magnitude.
HIGH = 127
#: A target of which the layer explains less than this share of the variance, in a channel, is not
#: taken for the channel's own: a pass may have changed what the value of that name means.
LEAST_EXPLAINED = 0.5


@dataclass(frozen=True)
class Quantized:
    """A weighted operator whose weight has a quantizer of its own."""

    found: Weighted
    quantizer: Node  # what rounds it: a fake quantizer, or the first of a pair
    form: MatrixForm
    data: Array  # the weight in front of the quantizer

    @property
    def scale(self) -> Value:
        """The constant with the scale."""
        return cast(Value, self.quantizer.operands["scale"])

    @property
    def high(self) -> int:
        """The largest code."""
        return cast(int, self.quantizer.attributes.get("high", HIGH))

    @property
    def has_own_scale(self) -> bool:
        """Whether nothing but this weight is quantized with the scale."""
        own = {self.quantizer, self.found.weight.producer}
        return own.issuperset(self.scale.readers) and not self.scale.is_output


def quantized_layers(graph: Graph, table: OperatorTable) -> Iterator[Quantized]:
    """The layers whose weights can be rounded together, in graph order."""
    for found in weighted(graph, table):
        quantizer = _rounder(found.weight)
        if quantizer is None or refusal(found.node, found.weight):
            continue
        form = matrix_form(found)
        data = constant_value(cast(Value, quantizer.operands["x"]), table)
        axis = quantizer.attributes["axis"]
        if isinstance(form, MatrixForm) and data is not None and axis in (None, found.channel_axis):
            yield Quantized(found, quantizer, form, data)


def _rounder(weight: Value) -> Node | None:
    """What rounds a weight and nothing else: one operator on FX, the first of a pair on ONNX."""
    made = weight.producer
    if made is None or made.op == FAKE_QUANTIZE:
        return made
    codes = made.operands["x"] if made.op == DEQUANTIZE else None
    first = codes.producer if isinstance(codes, Value) else None
    if first is None or first.op != QUANTIZE or len(first.output.readers) > 1:
        return None
    return None if first.output.is_output else first


class Rounding:
    """The problem of one layer's codes, and what becomes of the graph."""

    def __init__(
        self,
        graph: Graph,
        layer: Quantized,
        *,
        damping: float | None,
        ranges: bool,
        in_half: bool = False,
    ) -> None:
        self.graph, self.layer, self.damping, self.in_half = graph, layer, damping, in_half
        self.rows = layer.form.to_rows(tensor_of(layer.data).float())
        held = is_two_four(layer.data, layer.found.reduction_axis)
        self.mask = self.rows != 0 if held else torch.ones_like(self.rows, dtype=torch.bool)
        scale = tensor_of(cast(Array, layer.scale.data)).float().reshape(-1)
        self.scale = scale.expand(layer.form.groups * layer.form.rows).reshape(self.rows.shape[:2])
        self._ranges = (
            ranges and layer.has_own_scale and layer.quantizer.attributes["axis"] is not None
        )

    def task(self, reference: Graph) -> Task:
        """What `repair` is to do."""
        found = self.layer.found
        wanted = reference_value(given(found.node), self.graph, reference)
        stop = Stop(found.node, self.layer.form, found.data, wanted)
        return Task(stop, found.weight, self.rows, self.solve, self.keep)

    def solve(self, problem: Problem) -> Solution:
        """Codes times scale, and what rounding to nearest would give."""
        plain = rounded(self.rows, self.scale[..., None], self.layer.high)
        problem.aim_at_own(self.rows, self._bias(), LEAST_EXPLAINED)
        share = self.damping or best_share(problem, self.rows, self.mask)
        weight = fit(self.rows, *damped(problem, self.rows, share), self.mask)
        # What rounding loses is made good around these weights, whatever held them.
        columns_per_sample = max(1.0, self.layer.form.columns / problem.samples)
        hessian, _ = damped(problem, weight, self.damping or ROUNDING * columns_per_sample)
        if self._ranges:
            self.scale = best_scale(weight, hessian, self.layer.high, in_half=self.in_half)
        high, mask = self.layer.high, self.mask
        found = codes(weight, hessian, weight @ hessian, mask, self.scale, high)
        return Solution(found, plain, share)

    def _bias(self) -> Tensor:
        mean = free_mean(self.layer.found.node)
        if mean is None or not mean.is_bias:
            return torch.zeros(())
        data = tensor_of(cast(Array, mean.value.data)).double()
        return data.reshape(self.rows.shape[:2])

    def keep(self, rows: Tensor) -> None:
        """Put the weight, and the scale where it changed, into the graph."""
        weight = self.layer.form.to_weight(rows).numpy().astype(self.layer.data.dtype)
        quantizer = self.layer.quantizer
        slot, value = quantizer, cast(Value, quantizer.operands["x"])
        if value.producer is not None and value.producer.op == "sparse.mask":
            slot, value = value.producer, cast(Value, value.producer.operands["w"])
        if value.data is not None and len(value.readers) == 1 and not value.is_output:
            value.data = weight
        else:
            new = self.graph.constant(weight, f"{value.name}.rounded")
            self.graph.redirect(slot, slot.slots_of(value)[0], value, new)
        if self._ranges:
            old = cast(Array, self.layer.scale.data)
            self.layer.scale.data = self.scale.numpy().reshape(old.shape).astype(old.dtype)


def best_scale(weight: Tensor, hessian: Tensor, high: int, *, in_half: bool = False) -> Tensor:
    """The scale of each row, [G, K], with the least rounding error, each column's by its weight in
    the Hessian's diagonal; with `in_half` one that FP16 holds."""
    largest = weight.abs().amax(-1)
    cost = hessian.diagonal(dim1=-2, dim2=-1)[:, None]
    best, scale = torch.full_like(largest, torch.inf), largest
    for share in RANGES:
        given = (largest * share / high).numpy()
        tried = torch.from_numpy(safe_scale(given, np.float32, in_half=in_half))
        error = ((rounded(weight, tried[..., None], high) - weight).square() * cost).sum(-1)
        better = error < best
        best, scale = torch.where(better, error, best), torch.where(better, tried, scale)
    return scale
