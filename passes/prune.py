"""Choose the weights that are multiplied sparsely, and mask them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from sparqc.engine.cover import Cover, cover
from sparqc.engine.evaluate import failing
from sparqc.engine.match import Matcher
from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.lang.ast import FusionDecl
from sparqc.passbase import Context, Pass
from sparqc.passes.natives.two_four import two_four_mask
from sparqc.passes.select import select
from sparqc.passes.weighted import Weighted, weighted
from sparqc.registry import register


@dataclass(frozen=True)
class Mask:
    """What was decided for the weight of one layer."""

    layer: str  # name of the value that the weighted operator defines
    module: str
    weight: str
    shape: tuple[int | str, ...]
    axis: int  # the reduction axis, along which 2:4 runs
    masked: bool
    reason: str  # why it stays dense; "" where it does not
    #: The share of the weight's squared norm that the mask removes; 0 where nothing was removed.
    removed: float = 0.0


@register
@dataclass(frozen=True)
class Prune(Pass):
    """Apply 2:4 masks by magnitude along the reduction axis, wherever a fusion may run sparse.

    Of every four consecutive weights the two of largest magnitude stay; a weight that already is
    2:4 keeps its zeros.  Each layer that stays dense is listed with its reason.
    """

    name = "prune"
    preserves = "lossy"
    pattern: Literal["2:4"] = "2:4"

    def run(self, graph: Graph, context: Context) -> int:
        """Mask the eligible weights; returns how many."""
        candidates = list(_candidates(graph, context))
        masks: dict[str, Mask] = {}
        for candidate in candidates:
            reason = candidate.reason or _other_reader(candidate, candidates)
            masks[candidate.node.output.name] = candidate.mask(reason, 0.0)
        done: set[Value] = set()
        for candidate in candidates:
            mask = masks[candidate.node.output.name]
            if mask.reason or candidate.weight in done:
                continue
            done.add(candidate.weight)
            removed = _apply(graph, context, candidate)
            masks[candidate.node.output.name] = candidate.mask("", removed)
        # Keyed by layer, only what is masked; the refusals stand beside, for the report.
        context.facts["prune"] = {k: m for k, m in masks.items() if m.masked}
        context.facts["prune.dense"] = {k: m for k, m in masks.items() if not m.masked}
        return len(done)


@dataclass(frozen=True)
class _Candidate:
    """A weighted operator whose fusion names a weight that may be sparse."""

    node: Node
    weight: Value
    data: Array
    axis: int
    reason: str

    def mask(self, reason: str, removed: float) -> Mask:
        """The decision as data."""
        return Mask(
            layer=self.node.output.name,
            module=self.node.origin.module,
            weight=self.weight.name,
            shape=tuple(self.data.shape),
            axis=self.axis,
            masked=not reason,
            reason=reason,
            removed=removed,
        )


def _candidates(graph: Graph, context: Context) -> Iterator[_Candidate]:
    """Every operator with a constant weight, in graph order, with the reason against 2:4."""
    matcher = Matcher(context.rules, context.table, context.target.name)
    covered = cover(graph, matcher, context.rules.placing(graph.level, context.target.name))
    excluded = select(graph, context.exclude, context.table)
    for found in weighted(graph, context.table):
        data = constant_value(found.weight, context.table)
        assert data is not None
        if found.node in excluded:
            reason = f"excluded by --exclude {excluded[found.node]}"
        else:
            reason = _refusal(covered, found, matcher)
        yield _Candidate(found.node, found.weight, data, found.reduction_axis, reason)


def _refusal(covered: Cover, found: Weighted, matcher: Matcher) -> str:
    """Why the fusion that took the operator does not let it be sparse; "" where it does."""
    match = covered.of(found.node)
    if match is None:
        miss = covered.why_not_covered(found.node)
        return miss.reason if miss else "no fusion of the target covers it"
    fusion = cast(FusionDecl, match.decl)
    if fusion.sparse is None or match.bindings.get(fusion.sparse) is not found.weight:
        return f"the target has no sparse kernel for {fusion.name}"
    failed = failing(fusion.sparse_where, match, matcher)
    return failed[1] if failed else ""


def _other_reader(candidate: _Candidate, candidates: list[_Candidate]) -> str:
    """A shared weight is masked only where every one of its readers may be sparse alike."""
    if len(candidate.weight.readers) == 1:
        return ""
    same = (c for c in candidates if c.weight is candidate.weight and c.axis == candidate.axis)
    alike = {c.node for c in same if not c.reason}
    others = [n for n in candidate.weight.readers if n not in alike]
    return (
        f"the weight is shared with {others[0].output.name}, which is not sparse" if others else ""
    )


def _apply(graph: Graph, context: Context, candidate: _Candidate) -> float:
    """Mask one weight; returns the removed share of its squared norm."""
    data, weight = candidate.data, candidate.weight
    mask = two_four_mask(data, candidate.axis)
    squares = np.square(data, dtype=np.float64)
    total = float(squares.sum())
    kept = float(np.multiply(squares, mask, out=squares).sum())
    if graph.level == "fx":
        # The mask is an operator, so that whoever trains this graph keeps it.
        readers = weight.readers
        node = graph.create(
            "sparse.mask",
            {"w": weight, "mask": graph.constant(mask, f"{weight.name}.mask")},
            types=[weight.type],
            names=[f"{weight.name}.masked"],
            before=_first(graph, readers),
            origin=candidate.node.origin.after("prune"),
        )
        for reader in readers:
            for slot in reader.slots_of(weight):
                graph.redirect(reader, slot, weight, node.output)
    else:
        masked = graph.constant((data * mask).astype(data.dtype), f"{weight.name}.masked")
        graph.replace(weight, masked)
    return 0.0 if total == 0 else 1 - kept / total


def _first(graph: Graph, nodes: tuple[Node, ...]) -> Node:
    """The earliest of some nodes: usually there is just one."""
    if len(nodes) == 1:
        return nodes[0]
    wanted = set(nodes)
    return next(n for n in graph.nodes if n in wanted)
