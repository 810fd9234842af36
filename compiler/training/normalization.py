"""BatchNorms that a pass folds away, and how each is put back behind its layer for training.

With factor f = scale / sqrt(var + epsilon), a layer with the weight w and a BatchNorm behind it is
one layer with the weight f w; a quantizer of f w with the scale |f| s gives the same codes, up to
their sign, as one of w with the scale s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from sparqc.ir.graph import Array, Attribute, Graph, Node, Origin, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import stored_constant, weight_spec

#: The constant operands of nn.batch_norm.
SLOTS = ("scale", "bias", "mean", "var")


@dataclass(frozen=True)
class Constant:
    """A constant as it was: values go when rules rewrite, names and arrays stay."""

    name: str
    data: Array

    @classmethod
    def of(cls, value: Value | None) -> Constant | None:
        """That of a constant value, None of any other."""
        return None if value is None or value.data is None else cls(value.name, value.data)


@dataclass(frozen=True)
class Normalization:
    """A BatchNorm behind a layer with a constant weight."""

    layer: str  # the value that the layer defines
    name: str  # the value that the BatchNorm defines
    origin: Origin
    attributes: dict[str, Attribute]
    weight: Constant
    bias: Constant | None  # of the layer
    constants: dict[str, Constant | None]  # by slot

    @property
    def mean(self) -> Constant:
        """The running mean, [C]."""
        return cast(Constant, self.constants["mean"])

    @property
    def factor(self) -> Array:
        """f of each output channel, [C], float64."""
        var = cast(Constant, self.constants["var"]).data.astype(np.float64)
        scale = self.constants["scale"]
        factor = 1 / np.sqrt(var + cast(float, self.attributes["epsilon"]))
        return factor if scale is None else factor * scale.data

    @property
    def offset(self) -> Array:
        """What is added to f w x, [C], float64."""
        bias = self.constants["bias"]
        before = -self.mean.data.astype(np.float64) + (0 if self.bias is None else self.bias.data)
        return before * self.factor + (0 if bias is None else bias.data)


def normalizations(graph: Graph, table: OperatorTable) -> Iterator[Normalization]:
    """The BatchNorms with constant statistics that stand right behind a layer."""
    for node in graph.nodes:
        x = node.operands.get("x")
        if node.op != "nn.batch_norm" or not isinstance(x, Value) or x.producer is None:
            continue
        constants = {slot: Constant.of(operand(node, slot)) for slot in SLOTS}
        weight, fixed = stored_weight(x.producer, table), constants["mean"] and constants["var"]
        if weight is None or weight.data is None or not fixed:
            continue
        yield Normalization(
            layer=x.name,
            name=node.output.name,
            origin=node.origin,
            attributes=dict(node.attributes),
            weight=Constant(weight.name, weight.data),
            bias=Constant.of(operand(x.producer, "b")),
            constants=constants,
        )


def stored_weight(node: Node, table: OperatorTable) -> Value | None:
    """The constant that holds a layer's weight, behind quantizers and masks."""
    spec = weight_spec(node, table)
    return stored_constant(operand(node, spec.operand)) if spec else None


def operand(node: Node, slot: str) -> Value | None:
    """One operand of a node, None where it is absent or several values."""
    value = node.operands.get(slot)
    return value if isinstance(value, Value) else None


def quantizer_of(node: Node, table: OperatorTable) -> Node | None:
    """The fake quantizer right on a layer's weight."""
    spec = weight_spec(node, table)
    value = operand(node, spec.operand) if spec else None
    made = value.producer if value else None
    return made if made is not None and made.op == "q.qdq" else None


def batch_norm_behind(node: Node) -> Node | None:
    """The BatchNorm that folds into a layer: its only reader."""
    readers = node.output.readers
    return readers[0] if len(readers) == 1 and readers[0].op == "nn.batch_norm" else None
