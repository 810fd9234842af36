"""Which layers may run 2:4 sparse, and why the others may not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.layer_identity import mark_layer
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import Weighted, weighted
from sparqc.lang.ast import FusionDecl
from sparqc.match.cover import Cover, cover
from sparqc.match.evaluate import failing
from sparqc.match.match import Matcher
from sparqc.match.payoff import unlikely_to_pay
from sparqc.numerics.two_four import is_two_four
from sparqc.passes.half.widened import ends_in_half
from sparqc.passes.masks.pruning import Mask
from sparqc.passes.place.decide import Decider
from sparqc.passes.select import UNLIKELY_TO_PAY, select
from sparqc.rewrite.context import Context


@dataclass(frozen=True)
class SparseLayer:
    """A weighted operator, and the reason for which it stays dense; "" where it may be sparse."""

    node: Node
    weight: Value
    axis: int  # the reduction axis
    shape: tuple[int, ...]
    reason: str

    def data(self, table: OperatorTable) -> Array:
        """The weight as it is now, `shape`."""
        return cast(Array, constant_value(self.weight, table))

    def mask(self, removed: float) -> Mask:
        """The decision as data; `removed` is the share of the squared norm that was masked."""
        return Mask(
            layer=mark_layer(self.node),
            module=self.node.origin.module,
            weight=_stored(self.weight).name,
            shape=self.shape,
            axis=self.axis,
            masked=not self.reason,
            reason=self.reason,
            removed=removed,
        )


def _stored(weight: Value) -> Value:
    """What lies behind a mask that a weight has already."""
    made = weight.producer
    inner = made.operands["w"] if made is not None and made.op == "sparse.mask" else None
    return inner if isinstance(inner, Value) else weight


def sparse_layers(graph: Graph, context: Context, dense: Sequence[str] = ()) -> list[SparseLayer]:
    """Every operator with a constant weight, in graph order, with the reason against 2:4.

    `dense` are selectors beside those of the context.
    """
    candidates = list(_candidates(graph, context, dense))
    return [
        SparseLayer(c.node, c.weight, c.axis, c.shape, c.reason or _other_reader(c, candidates))
        for c in candidates
    ]


def _candidates(graph: Graph, context: Context, words: Sequence[str]) -> Iterator[SparseLayer]:
    excluded = select(graph, context.exclude, context.table)
    words = (*context.dense, *words)
    dense = select(graph, [w for w in words if w != UNLIKELY_TO_PAY], context.table, "--dense")
    wanted = select(graph, context.sparse, context.table, "--layers")
    layers = list(weighted(graph, context.table))
    if not layers:
        return
    careful = UNLIKELY_TO_PAY in words
    # What runs in INT8, and what writes codes, follows from the plan that `place` will make.
    plan = Decider(graph, context) if careful and context.quantizes else None
    if plan:
        matcher, covered = plan.matcher, plan.cover
    else:
        matcher = Matcher(context.rules, context.table, context.target.name)
        covered = cover(graph, matcher, context.rules.placing(graph.level, context.target.name))
    gains = _Gains(covered, matcher, context, plan) if careful else None
    for found in layers:
        if found.node in excluded:
            reason = f"excluded by --exclude {excluded[found.node]}"
        elif found.node in dense:
            reason = f"kept dense by --dense {dense[found.node]}"
        else:
            reason = _refusal(covered, found, matcher)
            if not reason and gains and found.node not in wanted:
                reason = gains.refusal(found)
        shape = np.shape(cast(Array, constant_value(found.weight, context.table)))
        if not reason and shape[found.reduction_axis] % 4:  # the pattern file did not ask
            along = shape[found.reduction_axis]
            reason = f"2:4 runs along {along} channels, which are no multiple of 4"
        yield SparseLayer(found.node, found.weight, found.reduction_axis, shape, reason)


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


class _Gains:
    """Whether a layer that may be sparse is likely to be faster for it."""

    def __init__(
        self, covered: Cover, matcher: Matcher, context: Context, plan: Decider | None
    ) -> None:
        self._covered, self._matcher, self._context = covered, matcher, context
        self._plan = plan
        self._codes = plan.wanted(plan.requests()) if plan else set()

    def refusal(self, found: Weighted) -> str:
        """Why 2:4 is unlikely to pay; "" where it may, and where the weight is 2:4 already, so
        that pruning costs nothing."""
        reason = self._float_output(found) or self._slow_kernel(found)
        if not reason:
            return ""
        weight = cast(Array, constant_value(found.weight, self._context.table))
        return "" if is_two_four(weight, found.reduction_axis) else f"unlikely to pay: {reason}"

    def _float_output(self, found: Weighted) -> str:
        """Sparse INT8 kernels write codes; a fusion that wants them gets its quantizer anyway."""
        if self._plan is None or not self._is_int8(found):
            return ""
        decision = self._plan.owners[found.node]
        value = decision.match.root.output
        if decision.fusion.sparse_outputs or value in self._codes:
            return ""
        return "it writes an output of the graph" if value.is_output else "it is read in float"

    def _slow_kernel(self, found: Weighted) -> str:
        match = self._covered.of(found.node)
        assert match is not None
        width = 1 if self._is_int8(found) else _float_bytes(found, self._context)
        missed = unlikely_to_pay(cast(FusionDecl, match.decl), match, self._matcher, width)
        return missed[1] if missed else ""

    def _is_int8(self, found: Weighted) -> bool:
        decision = self._plan.owners.get(found.node) if self._plan else None
        return decision is not None and not decision.reason


def _float_bytes(found: Weighted, context: Context) -> int:
    return 2 if ends_in_half(context) or found.weight.type.dtype in ("f16", "bf16") else 4


def _other_reader(candidate: SparseLayer, candidates: list[SparseLayer]) -> str:
    """A shared weight is masked only where every one of its readers may be sparse alike."""
    if len(candidate.weight.readers) == 1:
        return ""
    same = (c for c in candidates if c.weight is candidate.weight and c.axis == candidate.axis)
    alike = {c.node for c in same if not c.reason}
    others = [n for n in candidate.weight.readers if n not in alike]
    return (
        f"the weight is shared with {others[0].output.name}, which is not sparse" if others else ""
    )
