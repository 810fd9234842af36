"""`sparqc check --fix`: carry out the cures of what was found, and write the file anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from sparqc.declared.gpus import default_gpus
from sparqc.declared.misread import misread
from sparqc.declared.targets import Profile
from sparqc.ir.graph import Graph
from sparqc.ir.onnx.adapter import save_onnx
from sparqc.job.open import new_job
from sparqc.job.verify import check_model
from sparqc.job.write import write_for
from sparqc.passes.check.file_checks import Subject, file_checks, write_axes
from sparqc.passes.check.fixes import apply_fixes, has_broken_scales
from sparqc.passes.difference.differences import compared
from sparqc.passes.difference.plan import carry_out
from sparqc.rewrite.context import Context
from sparqc.tools.check.checked import Asked, Checked, check_proto, node_names


@dataclass(frozen=True)
class Fixed:
    """What was done to a file, and what is left."""

    #: How often each check was cured, by its id; empty where there was nothing to cure.
    cured: Mapping[str, int]
    checked: Checked


def fix(checked: Checked, asked: Asked | None = None) -> Fixed:
    """Cure what needs no new calibration, and check the result again.

    Raises SparqcError where the cured graph is no valid model, which would be a mistake in a cure.
    """
    written_out = Counter(f.id for f in checked.findings if _cured_by_writing(f.id))
    job = new_job(checked.model, options=checked.options)
    graph, context, target = job.graph, job.context, job.context.target
    axes = write_axes(Subject(checked.model, graph, context))
    cured = dict(apply_fixes(graph, context))
    cured |= {id: count for id, count in written_out.items() if id != "missing-axis"}
    cured |= {"missing-axis": axes} if axes else {}
    cured |= _placed(graph, context)
    if not cured:
        return Fixed({}, checked)
    model = write_for(graph, context.table, target)
    cured = {id: count for id, count in _less_misread(cured, model, target).items() if count}
    _keep_names(model, checked.model)
    check_model(model)
    return Fixed(cured, check_proto(model, replace(asked or Asked(), target=target.name)))


def _placed(graph: Graph, context: Context) -> dict[str, int]:
    """Write the plan into the graph, as far as ranges are known; what was cured by that."""
    if has_broken_scales(graph, context):
        return {}  # the plan would take the broken scale away, and the fault with it
    outcome = compared(graph, context, default_gpus()[0])
    cured = Counter(f.id for f in outcome.findings if f.fix)
    if cured and outcome.plan is not None:
        carry_out(graph, context, outcome.plan)
        return dict(cured)
    return {}


def _less_misread(
    cured: Mapping[str, int], model: onnx.ModelProto, target: Profile
) -> Mapping[str, int]:
    """What was cured, without the forms that no older opset spells otherwise."""
    if "misread-form" not in cured:
        return cured
    left = len(misread(model, target.name))
    return {**cured, "misread-form": cured["misread-form"] - left}


def write_fixed(fixed: Fixed, path: Path) -> None:
    """Write the model, all of it or nothing.  SparqcError where that fails."""
    save_onnx(fixed.checked.model, path)


def _cured_by_writing(id: str) -> bool:
    """Whether a graph that is written anew has what the file left out."""
    return id in file_checks() and bool(file_checks()[id].fixed)


def _keep_names(model: onnx.ModelProto, before: onnx.ModelProto) -> None:
    """Let nodes that give the same tensors have the names that they had."""
    names = node_names(before)
    for node in model.graph.node:
        node.name = names.get(node.output[0], node.name)
