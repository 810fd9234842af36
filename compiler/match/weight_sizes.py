"""What the sizes of a weight mean to the operator that has it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.operator import WeightSpec
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.match.terms import Term, Unknown, dimensions

#: Output channels, channels that are summed over, the product of the other sizes, and groups.
WEIGHT_SIZES = ("K", "C", "area", "groups")


def weight_sizes(
    weight: Value, nodes: Iterable[Node], table: OperatorTable
) -> Mapping[str, Term] | None:
    """The sizes by their names; None where the value is the weight of none of the operators.

    Those of a weight of unknown shape are unknown.
    """
    for node in nodes:
        row = table.get(node.op)
        if row and row.weight and node.operands.get(row.weight.operand) is weight:
            return _sizes(weight, node, row.weight)
    return None


def _sizes(weight: Value, node: Node, spec: WeightSpec) -> Mapping[str, Term]:
    groups = node.attributes.get("groups", 1)
    if weight.shape is None or len(weight.shape) < 2:
        unknown = dict.fromkeys(WEIGHT_SIZES, Unknown(f"shape of {weight.name}"))
        return {**unknown, "groups": groups}
    sizes = dimensions(weight.shape)
    channels, reduced = (
        a % len(sizes) for a in (spec.channel_axis(node), spec.reduction_axis(node))
    )
    others = [size for axis, size in enumerate(sizes) if axis not in (channels, reduced)]
    whole = all(isinstance(size, int) for size in others)
    area = math.prod(map(int, others)) if whole else Unknown(f"window of {weight.name}")
    return {"K": sizes[channels], "C": sizes[reduced], "area": area, "groups": groups}
