"""What became of each layer, read off the final ONNX graph; the reasons come from the passes.

What a pass meant to do and what stands in the file are two things: INT8 and 2:4 are said of the
file only, and a layer that was meant to be INT8 and is not says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.layer_identity import carriers, decided
from sparqc.ir.layer_names import layer_name
from sparqc.ir.quantizers import is_dequantized, reads_codes_only, runs_in_int8
from sparqc.ir.weighted import Unread, stored_array, unread, weighted
from sparqc.numerics.two_four import is_two_four
from sparqc.passes.masks.pruning import Mask, Pruning
from sparqc.passes.place.placement import Layer, Placement
from sparqc.rewrite.context import Context


@dataclass(frozen=True)
class LayerRow:
    """One operator of the ONNX graph that multiplies by a constant weight."""

    name: str  # the module path, or the ONNX value where no module is known
    value: str  # the ONNX value that it defines
    op: str
    weight: str
    shape: tuple[int, ...]
    int8: bool
    float_reason: str  # "" where it is INT8
    sparse: bool
    dense_reason: str  # "" where it is 2:4
    source: str = ""  # the line of the model
    module: str = ""  # "" where it is not known

    @property
    def title(self) -> str:
        """What people call it."""
        return layer_name(self.value, self.module)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class OtherRow:
    """An operator without weights that the target could run in INT8: a pool, an Add."""

    value: str
    op: str
    int8: bool
    float_reason: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def layer_rows(graph: Graph, context: Context) -> list[LayerRow]:
    """A row for each weighted operator of the final graph, in its order; behind them those in a
    form that is not read."""
    placement = context.facts.get(Placement)
    placed = {row.name: row for row in placement.layers if row.weight} if placement else {}
    pruning = context.facts.get(Pruning)
    masks = {**pruning.dense, **pruning.masks} if pruning else {}
    rows = []
    for found in weighted(graph, context.table):
        node, weight = found.node, found.weight
        layer, mask = decided(node, placed), decided(node, masks)
        stored = stored_array(weight, context.table)
        assert stored is not None
        module = _module(node, layer, mask)
        int8, sparse = runs_in_int8(node), is_two_four(stored, found.reduction_axis)
        rows.append(
            LayerRow(
                name=module or node.output.name,
                value=node.output.name,
                op=node.op,
                weight=_weight_name(weight, layer, mask),
                shape=tuple(stored.shape),
                int8=int8,
                float_reason="" if int8 else _float_reason(layer, planned=placement is not None),
                sparse=sparse,
                dense_reason="" if sparse else _dense_reason(mask, pruned=pruning is not None),
                source=node.origin.source or (layer.source if layer else ""),
                module=module,
            )
        )
    return [*rows, *map(_unread_row, unread(graph, context.table))]


def _unread_row(found: Unread) -> LayerRow:
    return LayerRow(
        name=found.node.origin.module or found.node.output.name,
        value=found.node.output.name,
        op=found.node.op,
        weight=next(_constants_behind(found.weight)).name,
        shape=tuple(d for d in found.weight.shape or () if isinstance(d, int)),
        int8=False,
        float_reason=found.reason,
        sparse=False,
        dense_reason=found.reason,
        source=found.node.origin.source,
        module=found.node.origin.module,
    )


def other_rows(graph: Graph, context: Context) -> list[OtherRow]:
    """A row for each operator without weights that a fusion of the target covers."""
    placement = context.facts.get(Placement)
    layers = [layer for layer in placement.layers if layer.weight is None] if placement else []
    found = carriers(graph)
    return [_other(row, found[row.name], context) for row in layers if row.name in found]


def _other(layer: Layer, node: Node, context: Context) -> OtherRow:
    int8 = reads_codes_only(node, context.table)
    reason = "" if int8 else layer.reason or "its input reaches it in float"
    return OtherRow(layer.name, layer.op, int8, reason)


@dataclass(frozen=True)
class ResidualAdds:
    """The Adds of two computed tensors of one shape, by how many inputs come from INT8 codes."""

    none: int = 0
    one: int = 0
    both: int = 0

    def to_json(self) -> dict[str, int]:
        """Plain data."""
        return asdict(self)


def residual_adds(graph: Graph, context: Context) -> ResidualAdds:
    """Count the Adds; the target fuses one whose one input is bare and the other INT8."""
    counts = [0, 0, 0]
    for node in graph.nodes:
        terms = list(node.inputs)
        if node.op != "nn.add" or any(is_constant(v, context.table) for v in terms):
            continue
        if len({v.shape for v in terms}) == 1:
            counts[sum(map(is_dequantized, terms))] += 1
    return ResidualAdds(*counts)


def _float_reason(layer: Layer | None, planned: bool) -> str:
    if not planned:
        return "nothing was quantized: the pass `place` did not run"
    if layer is None:
        return "it came into being behind the pass `place`"
    return layer.reason or "meant to be INT8, but its Q/DQ pairs were lost on the way"


def _dense_reason(mask: Mask | None, pruned: bool) -> str:
    if mask is None:
        return "the pass `prune` did not see it" if pruned else "nothing was pruned"
    return mask.reason or "meant to be 2:4, but its stored codes are not"


def _module(node: Node, layer: Layer | None, mask: Mask | None) -> str:
    names = (node.origin.module, layer.module if layer else "", mask.module if mask else "")
    return next(filter(None, names), "")


def _weight_name(weight: Value, layer: Layer | None, mask: Mask | None) -> str:
    """The parameter's own name where a pass knew it, else the name of the stored constant."""
    if mask is not None:
        return mask.weight
    if layer is not None and layer.weight:
        return layer.weight
    return next(_constants_behind(weight)).name


def _constants_behind(value: Value) -> Iterator[Value]:
    """The constants that a constant expression is made of, the data before its scales."""
    stack, seen = [value], set[Value]()
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        if current.producer is None:
            yield current
        else:
            stack += reversed(list(current.producer.inputs))
