"""Hold the finished ONNX graph against every `check` declaration and every promise of a pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from sparqc.declared.gpus import default_gpus
from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph
from sparqc.ir.layer_identity import decided, layers_of
from sparqc.ir.layer_names import name_of
from sparqc.ir.quantizers import runs_in_int8
from sparqc.ir.weighted import stored_array, weighted
from sparqc.lang.ast import CheckDecl
from sparqc.match.evaluate import render
from sparqc.match.match import Index, Match, Matcher
from sparqc.numerics.two_four import two_four_violations
from sparqc.passes.check.finding import Finding, Findings, Grade
from sparqc.passes.check.shared_ranges import far_apart
from sparqc.passes.check.symmetric import SYMMETRIC
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.place.placement import Placement
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context

__all__ = ["Check", "Finding", "Grade", "findings_of"]


@register
@dataclass(frozen=True)
class Check(Pass):
    """Check the ONNX graph: the `check` rules of the target, and 2:4 on the stored INT8 codes.

    A finding of grade `error` fails the compile; `strict=false` only reports it.
    """

    name = "check"
    level = "onnx"
    preserves = "exact"
    concludes = True
    strict: bool = True

    def run(self, graph: Graph, context: Context) -> int:
        """Collect the findings into the report; changes nothing."""
        findings = [
            *findings_of(graph, context),
            *_broken_masks(graph, context),
            *_lost_pairs(graph, context),
        ]
        findings += far_apart(context)
        if Placement not in context.facts:  # somebody else's quantizers
            from sparqc.passes.difference.differences import compared

            findings += compared(graph, context, default_gpus()[0]).findings
        modules = {v.name: n.origin.module for n in graph.nodes for v in n.outputs}
        findings = [finding.with_modules(modules) for finding in findings]
        context.facts.put(Findings(tuple(findings)))
        errors = [f for f in findings if f.grade == "error"]
        if errors and self.strict:
            lines = [f"{f.id}: {f.message} ({', '.join(f.titles)})" for f in errors[:10]]
            more = [f"and {len(errors) - 10} more"] if len(errors) > 10 else []
            raise SparqcError(
                "the ONNX graph breaks rules of its target:\n  " + "\n  ".join([*lines, *more]),
                hint="check{strict=false} writes the file all the same",
            )
        return 0


def findings_of(graph: Graph, context: Context) -> Iterator[Finding]:
    """What the `check` declarations find, in the order of the graph."""
    matcher = Matcher(context.rules, context.table, context.target.name)
    index = Index(matcher, context.rules.checks(graph.level, context.target.name))
    for node in graph.nodes:
        for check in index.at(node):
            if match := matcher.first(check, node):
                yield _finding(match, matcher)


def _finding(match: Match, matcher: Matcher) -> Finding:
    check = cast(CheckDecl, match.decl)
    return Finding(
        id=check.name.replace("_", "-"),
        grade=check.grade,
        nodes=tuple(dict.fromkeys(node.outputs[0].name for node in match.nodes if node.outputs)),
        message=render(check.message, match, matcher),
        cure=render(check.cure, match, matcher) if check.cure else "",
        source=check.source,
        fix=fix_of(check),
    )


def fix_of(check: CheckDecl) -> str:
    """What `sparqc check --fix` keeps of the numbers where it cures a check; "" where it cannot."""
    return check.preserves if check.rewrite else _PYTHON_FIXES.get(check.name, "")


#: Fixes that a rewrite cannot say: what zero points stood for, `sparqc.passes.check.symmetric`.
_PYTHON_FIXES = dict.fromkeys(SYMMETRIC, "lossy")


def _broken_masks(graph: Graph, context: Context) -> Iterator[Finding]:
    """Masked layers whose stored codes (or floats) are no longer 2:4, or that are gone."""
    masks = context.facts.get(Pruning, Pruning()).masks
    gone = dict(masks)
    for found in weighted(graph, context.table):
        carried = [name for name in layers_of(found.node) if name in masks]
        if not carried:
            continue
        for name in carried:
            gone.pop(name, None)
        mask = masks[carried[0]]
        stored = stored_array(found.weight, context.table)
        assert stored is not None
        if broken := two_four_violations(stored, found.reduction_axis):
            yield Finding(
                "mask-lost",
                "error",
                (found.node.output.name,),
                f"{mask.weight} was masked 2:4, but {broken} groups of four have more than two "
                "non-zero values",
                "find the pass that changed it with --check pass",
            )
    for mask in gone.values():
        yield Finding(
            "mask-gone",
            "error",
            (mask.layer,),
            f"{mask.weight} was masked 2:4, but no layer of the ONNX graph carries it",
            "inspect the graph after export with --dump",
        )


def _lost_pairs(graph: Graph, context: Context) -> Iterator[Finding]:
    """Layers that `place` put into INT8 and that compute in float by now."""
    placement = context.facts.get(Placement, Placement())
    placed = {row.name: row for row in placement.layers if row.weight and row.int8}
    for found in weighted(graph, context.table):
        if decided(found.node, placed) and not runs_in_int8(found.node):
            yield Finding(
                "int8-lost",
                "error",
                (found.node.output.name,),
                f"{name_of(found.node)} was placed in INT8, but its operands no longer come "
                "straight from INT8 codes",
                "let passes that change weights, or take quantizers away, run in front of `place`",
            )
