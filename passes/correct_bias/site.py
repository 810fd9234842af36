"""Where the error of a layer's bias is measured, and where it can be corrected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import Weighted, weight_of
from sparqc.passes.on_data.added_bias import added_bias
from sparqc.passes.on_data.reference_value import only_reader, reference_value

_EVERYTHING = (-np.inf, np.inf)


@dataclass(frozen=True)
class BiasSite:
    """A layer with a bias, or room for one."""

    node: Node
    #: Where the bias stands: an operand of the layer, or of the Add behind it.
    place: Node
    operand: str
    #: The channel axis of the output.
    axis: int
    #: The value in front of the activation: the layer's own, or the sum with the residual, which
    #: the bias shifts just the same.
    value: Value
    #: The same value of the model as it was read.
    wanted: Value
    #: What the activation behind it leaves.
    bounds: tuple[float, float]

    @property
    def bias(self) -> Value | None:
        """The bias, None where the layer has none yet."""
        return cast("Value | None", self.place.operands.get(self.operand))


def bias_sites(
    graph: Graph, reference: Graph, table: OperatorTable
) -> Iterator[tuple[Node, BiasSite | str]]:
    """Every operator with a constant weight, in order: its site, or why there is none."""
    taken: set[Value] = set()
    for node in graph.nodes:
        found = weight_of(node, table)
        if found is None:
            continue
        site = _site(found, graph, reference)
        if isinstance(site, BiasSite):
            site = "another layer corrects their sum" if site.value in taken else site
        if isinstance(site, BiasSite):
            taken.add(site.value)
        yield node, site


def _site(found: Weighted, graph: Graph, reference: Graph) -> BiasSite | str:
    node, bias, added = found.node, found.bias, added_bias(found)
    place, operand = (added.node, added.operand) if added else (node, found.spec.bias)
    if operand is None:
        return f"{node.op} has no bias"
    if bias is not None and not (bias.is_const and bias.type.rank == 1):
        return "its bias is no constant vector"
    if node.op == "nn.gemm" and (node.attributes["alpha"], node.attributes["beta"]) != (1, 1):
        return "it scales its bias"
    value = _in_front_of_activation(place.output)
    wanted = reference_value(value, graph, reference)
    if wanted is None or wanted.type.shape != value.type.shape:
        return "the model as it was read has no such value"
    return BiasSite(node, place, operand, found.spec.output_axis, value, wanted, _bounds(value))


def _in_front_of_activation(value: Value) -> Value:
    """The residual sum that alone reads the value, else the value itself."""
    reader = only_reader(value)
    if reader is None or reader.op != "nn.add":
        return value
    terms = [*reader.inputs]
    alike = all(v.shape == value.shape and not v.is_const for v in [*terms, reader.output])
    return reader.output if alike and terms[0] is not terms[1] else value


def _bounds(value: Value) -> tuple[float, float]:
    """What the activation that alone reads the value leaves of it."""
    reader = only_reader(value)
    if reader is not None and reader.op == "nn.relu":
        return 0.0, np.inf
    if reader is None or reader.op != "nn.clip":
        return _EVERYTHING
    low, high = reader.operands["min"], reader.operands["max"]
    return _number(low, -np.inf), _number(high, np.inf)


def _number(bound: object, default: float) -> float:
    """The bound of a clip; where it is not known, as if there were none."""
    return float(bound.data) if isinstance(bound, Value) and bound.data is not None else default
