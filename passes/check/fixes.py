"""Carry out the cures of the checks: what `sparqc check --fix` does to a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.quantizers import CONVERSIONS
from sparqc.passes.check.symmetric import SYMMETRIC, make_symmetric
from sparqc.passes.natives.quantizers import normal_scale
from sparqc.rewrite.context import Context
from sparqc.rewrite.worklist import rewrite


def apply_fixes(graph: Graph, context: Context) -> Mapping[str, int]:
    """Apply the `rewrite` of every check of the target until none is left; no calibration needed.

    Returns how often each check was cured, by its id.  What a zero point stood for is no rewrite.
    Where scales are broken, only exact cures are carried out: another one could take the broken
    scale away, and the fault with it.

    Raises SparqcError where the cures turn in a circle.
    """
    checks = context.rules.checks(graph.level, context.target.name)
    repairs = [check.repair for check in checks if check.repair is not None]
    before, cured = Counter(context.action.counts), Counter[str]()
    if has_broken_scales(graph, context):  # what reads them would seem healthy
        repairs = [repair for repair in repairs if repair.preserves == "exact"]
    elif any(check.name in SYMMETRIC for check in checks):
        # First of all: another cure could take away a quantizer that stands for a Relu.
        cured += make_symmetric(graph)
    rewrite(graph, repairs, context)
    graph.sort()
    for name, count in (context.action.counts - before).items():
        cured[name.replace("_", "-")] += count
    return {name: cured[name] for name in sorted(cured) if cured[name]}


def has_broken_scales(graph: Graph, context: Context) -> bool:
    """Whether a scale is computed, or no finite, positive, normal number."""
    return any(
        array is None or not normal_scale(array)
        for node in graph.nodes
        if node.op in CONVERSIONS
        for array in [_scale(node, context)]
    )


def _scale(node: Node, context: Context) -> Array | None:
    scale = node.operands["scale"]
    return constant_value(scale, context.table) if isinstance(scale, Value) else None
