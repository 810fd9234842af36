"""Put the BatchNorms that were folded into layers back behind them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from sparqc.ir.constants import constant_value
from sparqc.ir.fx.tensor import tensor_of
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.vocabulary.operator import WeightSpec
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import weight_spec
from sparqc.training.fake_quantize import weight_scale
from sparqc.training.normalization import (
    SLOTS,
    Constant,
    Normalization,
    operand,
    quantizer_of,
    stored_weight,
)

#: Factors of a smaller magnitude are no factors to divide by: their channel is zero.
_TINY = 1e-20


@dataclass
class Unfolding:
    """What was put back into a graph, whose outputs stay the same to rounding."""

    graph: Graph
    table: OperatorTable
    #: The BatchNorms that stand in the graph again.
    made: list[Node] = field(default_factory=list)
    #: Of those, the ones whose layer a later pass has changed: their statistics are stand-ins, and
    #: must be measured.
    stale: list[Node] = field(default_factory=list)
    _weights: dict[int, Value] = field(default_factory=dict)
    _constants: dict[int, Value] = field(default_factory=dict)

    def put_back(self, found: Iterable[Normalization]) -> None:
        """Put back each BatchNorm that was folded into a layer of the graph."""
        self._weights |= {id(value.data): value for value in self.graph.constants}
        for one in found:
            layer = self._layer(one)
            if layer is not None:
                self._unfold(layer, one)
        self.graph.sort()
        self.graph.drop_dead()

    def _layer(self, found: Normalization) -> Node | None:
        """The layer, where it is one that the BatchNorm was folded into."""
        value = self.graph.value(found.layer) if found.layer in self.graph else None
        layer = value.producer if value else None
        if layer is None or any(r.op == "nn.batch_norm" for r in layer.output.readers):
            return None
        weight, spec = stored_weight(layer, self.table), weight_spec(layer, self.table)
        if weight is None or weight.data is None or spec is None:
            return None
        quantizer = quantizer_of(layer, self.table)
        axis, channels = spec.channel_axis(layer), len(found.factor)
        # A grouped transposed convolution has several output channels to an index of its weight.
        fits = weight.data.shape == found.weight.data.shape and weight.data.shape[axis] == channels
        per_channel = quantizer is None or quantizer.attributes["axis"] == axis
        return layer if fits and per_channel and weight.reader_count == 1 else None

    def _unfold(self, layer: Node, found: Normalization) -> None:
        factor = np.where(np.abs(found.factor) < _TINY, 1.0, found.factor)
        _divide_scale(quantizer_of(layer, self.table), factor)
        weight, bias = cast(Value, stored_weight(layer, self.table)), operand(layer, "b")
        axis = cast(WeightSpec, weight_spec(layer, self.table)).channel_axis(layer)
        if _is_folded(weight, bias, found, axis):
            self._restore_weight(weight, found)
            self._restore_bias(layer, found)
            self._wake(quantizer_of(layer, self.table), np.abs(found.factor) < _TINY)
            constants = {slot: self._constant(c) for slot, c in found.constants.items()}
            self.made.append(self._insert(layer, found, constants))
            return
        data = cast(Array, weight.data)
        weight.data = (data / _against(factor, data, axis)).astype(data.dtype)
        given = np.zeros(len(factor)) if bias is None else cast(Array, bias.data)
        self.graph.set_operand(layer, "b", None)
        self.made.append(self._insert(layer, found, self._stand_ins(factor, given, found)))
        self.stale.append(self.made[-1])

    def _restore_weight(self, weight: Value, found: Normalization) -> None:
        """The weight as it was: one constant again, where several layers shared one.

        One of them may have no BatchNorm, and have kept it.
        """
        shared = self._weights.setdefault(id(found.weight.data), weight)
        if shared is weight:
            weight.data = found.weight.data
            return
        for reader in weight.readers:
            for slot in reader.slots_of(weight):
                self.graph.redirect(reader, slot, weight, shared)

    def _wake(self, quantizer: Node | None, dead: Array) -> None:
        """Give channels that the BatchNorm had made zero the scale of what they are without it."""
        x, scale = (operand(quantizer, s) if quantizer else None for s in ("x", "scale"))
        if quantizer is None or x is None or scale is None or scale.data is None or not dead.any():
            return
        weight = tensor_of(np.array(constant_value(x, self.table), np.float32))
        axis, high = quantizer.attributes["axis"], quantizer.attributes["high"]
        plain = weight_scale(weight, cast(int, axis), cast(int, high)).numpy()
        scale.data = np.where(dead, plain, scale.data).astype(scale.data.dtype)

    def _restore_bias(self, layer: Node, found: Normalization) -> None:
        self.graph.set_operand(layer, "b", self._constant(found.bias))

    def _constant(self, constant: Constant | None) -> Value | None:
        if constant is None:
            return None
        key = id(constant.data)
        if key not in self._constants:
            self._free(constant.name)
            self._constants[key] = self.graph.constant(constant.data, constant.name)
        return self._constants[key]

    def _free(self, name: str) -> None:
        """Make room for a name: what folding has made since may bear it."""
        if name in self.graph:
            self.graph.rename(self.graph.value(name), self.graph.fresh(name))

    def _stand_ins(
        self, factor: Array, offset: Array, found: Normalization
    ) -> dict[str, Value | None]:
        """A BatchNorm that multiplies by a factor and adds an offset: mean 0 and variance 1."""
        epsilon = cast(float, found.attributes["epsilon"])
        data = {
            "scale": factor * np.sqrt(1 + epsilon),
            "bias": offset,
            "mean": np.zeros(len(factor)),
            "var": np.ones(len(factor)),
        }
        names = {slot: c.name for slot, c in found.constants.items() if c}
        return {
            slot: self.graph.constant(data[slot].astype(np.float32), names.get(slot, slot))
            for slot in SLOTS
        }

    def _insert(
        self, layer: Node, found: Normalization, constants: dict[str, Value | None]
    ) -> Node:
        old = layer.output
        made = self.graph.create(
            "nn.batch_norm",
            {"x": old, **constants},
            found.attributes,
            types=[old.type],
            names=[found.name],
            origin=found.origin,
        )
        self.graph.replace(old, made.output)
        self.graph.set_operand(made, "x", old)
        return made


def _divide_scale(quantizer: Node | None, factor: Array) -> None:
    scale = operand(quantizer, "scale") if quantizer else None
    if scale is not None and scale.data is not None:
        scale.data = (scale.data / np.abs(factor)).astype(scale.data.dtype)


def _is_folded(weight: Value, bias: Value | None, found: Normalization, axis: int) -> bool:
    """Whether weight and bias still are what folding made of them."""
    data, factor = cast(Array, weight.data), found.factor
    offset = np.zeros(len(factor)) if bias is None else cast(Array, bias.data)
    folded = found.weight.data * _against(factor, data, axis)
    return _close(folded, data) and _close(found.offset, offset)


def _close(a: Array, b: Array) -> bool:
    limit = 1e-5 * max(float(np.abs(a).max(initial=0.0)), 1e-30)
    return bool(np.allclose(a, b, rtol=1e-4, atol=limit))


def _against(factor: Array, weight: Array, axis: int) -> Array:
    """The factors, shaped to broadcast along the channel axis of a weight."""
    return factor.reshape([-1 if a == axis else 1 for a in range(weight.ndim)])
