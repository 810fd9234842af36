"""Scales that the plan makes one, and that differ in the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from sparqc.base.union_find import union_find
from sparqc.ir.graph import Value
from sparqc.ir.layer_names import value_name
from sparqc.lang.ast import ShareDecl
from sparqc.passes.difference.arrivals import quantizers
from sparqc.passes.difference.difference import Difference, Sides
from sparqc.passes.difference.kinds import SCALES_TIED, SEVERAL_SCALES
from sparqc.passes.place.decide import Sharing

#: How far two scales may lie apart, relative to the larger, and be the same number stored twice.
_SAME = 1e-6


def scales(sides: Sides) -> Iterator[Difference]:
    """Tensors with several scales, and operators around which the scales of one group differ."""
    own = {v: _own_scales(sides, v) for v in _grouped(sides)}
    for value, found in own.items():
        if len(found) > 1:
            ratio = _ratio(found)
            message = (
                f"{value_name(value)} is quantized with {len(found)} scales, which differ by a "
            )
            message += f"factor of up to {ratio:.3g}"
            yield SEVERAL_SCALES.difference(value.name, value.name, message)
    yield from _tied(sides, own)
    yield from _fixed(sides, own)


def _grouped(sides: Sides) -> Iterator[Value]:
    yield from dict.fromkeys([*sides.plan.placing.groups, *sides.plan.placing.asked])


def _own_scales(sides: Sides, value: Value) -> list[float]:
    """The scales of the QuantizeLinears of a tensor, equal ones once."""
    now = sides.value_now(value)
    found: list[float] = []
    for node in quantizers(now) if now is not None else ():
        scale = sides.now.units.scales.get(node)
        if scale is not None and not any(_alike(scale, other) for other in found):
            found.append(scale)
    return found


def _alike(first: float, second: float) -> bool:
    return abs(first - second) <= _SAME * max(first, second)


def _is(scale: float, known: float) -> bool:
    """Whether a scale is a number, or that number in FP16."""
    return _alike(scale, known) or _alike(scale, float(np.float16(known)))


def _ratio(found: list[float]) -> float:
    return max(found) / min(found)


def _tied(sides: Sides, own: Mapping[Value, list[float]]) -> Iterator[Difference]:
    """The operators at which two parts of a group meet that have a scale each."""
    decider, groups = sides.plan.placing.decider, sides.plan.placing.groups
    clusters, known = union_find(), dict(own)
    sharings = [*decider.movements.values(), *decider.ties]
    for sharing in sharings:
        values = [v for v in (*sharing.inputs, *sharing.outputs) if v in own]
        if len(values) < 2 or len({groups[v] for v in values}) > 1:
            continue  # no codes pass here
        parts = [found for found in {clusters[v]: known[clusters[v]] for v in values}.values()]
        met = [scale for found in parts for scale in found]
        clusters.union(*values)
        known[clusters[values[0]]] = met
        first, *others = [found for found in parts if found] or [[]]
        if any(not any(_alike(a, b) for a in first for b in other) for other in others):
            yield _differ(sides, sharing, _ratio(met))


def _differ(sides: Sides, sharing: Sharing, ratio: float) -> Difference:
    share, root = sharing.match.decl, sharing.match.root.output.name
    assert isinstance(share, ShareDecl)
    message = f"the scales of what {root} reads and gives differ"
    id, message = sides.said(share.reason, sharing.match, SCALES_TIED.id, message)
    message = f"{message}, by a factor of {ratio:.3g}"
    limit = sides.plan.context.rules.knobs.get("concat_ratio")
    if isinstance(limit, int | float) and ratio > limit:
        message += f", which is more than {limit}: with one scale the smaller range loses its codes"
    value = sharing.inputs[0].name
    return Difference(id, "scale", root, value, message, share.source or SCALES_TIED.source)


def _fixed(sides: Sides, own: Mapping[Value, list[float]]) -> Iterator[Difference]:
    """Values whose scale a fusion knows beforehand."""
    matcher = sides.plan.placing.decider.matcher
    for value, asked in sides.plan.placing.asked.items():
        for (node, _), decision in asked.items():
            known = decision.fixed_scale(value, matcher)
            if known is None or not own[value] or all(_is(s, known) for s in own[value]):
                continue
            line = next(q for q in decision.fusion.int8 if q.scale is not None)
            fusion, reader = decision.fusion, node.output.name
            id, message = sides.said(
                line.reason,
                decision.match,
                SCALES_TIED.id,
                f"{value_name(value)} has another scale than the {known:.3g} that {fusion.name} "
                "gives it",
            )
            yield Difference(id, "scale", reader, value.name, message, fusion.source)
