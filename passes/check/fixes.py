"""Carry out the cures of the checks: what `sparqc check --fix` does to a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.quantizers import CONVERSIONS, DEQUANTIZE
from sparqc.passes.check.symmetric import SYMMETRIC, make_symmetric
from sparqc.passes.natives.quantizers import normal_scale
from sparqc.rewrite.context import Context
from sparqc.rewrite.worklist import rewrite

#: Rounds of the cures of all checks, then of what they leave double; two are usual.
_ROUNDS = 10


def apply_fixes(graph: Graph, context: Context) -> Mapping[str, int]:
    """Apply the `rewrite` of every check of the target until none is left; no calibration needed.

    Returns how often each check was cured, by its id.  Behind the rewrites every tensor has one
    QuantizeLinear for each scale, and every reader a DequantizeLinear of its own, which a pattern
    cannot say: it sees one reader at a time; nor can it say what a zero point stood for.  Where
    scales are broken, only exact cures are carried out: another one could take the broken scale
    away, and the fault with it.

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
    for _ in range(_ROUNDS):
        applied = rewrite(graph, repairs, context)
        split = split_dequantizers(graph)
        cured += Counter({"shared-dequantize": split})
        if not applied + split:
            break
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


def split_dequantizers(graph: Graph) -> int:
    """Give every reader of a DequantizeLinear one of its own; counts the new ones."""
    shared = [n for n in graph.nodes if n.op == DEQUANTIZE and _readers(n.output) > 1]
    count = 0
    for node in shared:
        readers = node.output.readers
        for reader in readers if node.output.is_output else readers[1:]:
            copy = _copy(graph, node, reader)
            for slot in reader.slots_of(node.output):
                graph.redirect(reader, slot, node.output, copy)
            count += 1
    return count


def _readers(value: Value) -> int:
    return value.reader_count + value.is_output


def _copy(graph: Graph, node: Node, reader: Node) -> Value:
    return graph.create(
        node.op,
        dict(node.operands),
        dict(node.attributes),
        types=[node.output.type],
        names=[graph.fresh(node.output.name)],
        before=reader,
        origin=node.origin,
    ).output
