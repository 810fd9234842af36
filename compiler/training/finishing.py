"""`sparqc.finish`: the rest of the pipeline, on what training has made of a prepared module."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from sparqc.base.keywords import suggests_keywords
from sparqc.base.phases import Phases
from sparqc.ir.fx.tensor import array_of, tensor_of
from sparqc.ir.graph import Array, Graph
from sparqc.ir.samples import first_samples
from sparqc.job.batches import Calibration
from sparqc.job.open import Job
from sparqc.job.run import run_job
from sparqc.report.compiled import Compiled
from sparqc.rewrite.context import Batch
from sparqc.rewrite.worklist import rewrite
from sparqc.training.prepared import Prepared, Recipe, prepared_of
from sparqc.training.ranges import recalibrate
from sparqc.training.trained import settled, tensor_at, trained_graph
from sparqc.training.wrappers import as_written

#: The rules that fold a BatchNorm into the layer in front of it.
FOLDING = "fold_batch_norm"


@suggests_keywords
def finish(
    prepared: nn.Module, path: Path | str | None = None, *, calibration: Calibration | None = None
) -> Compiled:
    """Export a prepared module: fold, export, and the passes behind that; as `sparqc.compile`.

    Writes the file where a path is given.  With `calibration`, the scales of activations that are
    not learned are first measured anew, in the module itself (see `recalibrate`).
    `Compiled.difference` is that of the ONNX graph in onnxruntime to the module in eval mode, on
    the example inputs.  The module can be trained further and finished again.

    Raises UsageError for a module that was not prepared, SparqcError where training has left NaN or
    infinite weights, and where `sparqc.compile` would.
    """
    phases = Phases()
    module = prepared_of(prepared, "finish")
    if calibration is not None:
        recalibrate(module, calibration)
    recipe = module.recipe
    graph = settled(trained_graph(module), recipe)
    if recipe.unfolded:
        _fold(graph, recipe)
    context = replace(recipe.context, facts=recipe.context.facts.copy(), scales={})
    expected = evaluate(module, first_samples(context.example, graph.inputs))
    phases.end("reading")
    job = Job(graph, recipe.rest, context, recipe.notes)
    result = run_job(job, expected=expected)
    phases.end("compiling")
    compiled = Compiled.of(result, "a prepared module", phases.seconds)
    if path is not None:
        compiled.save(path)
    return compiled


def _fold(graph: Graph, recipe: Recipe) -> None:
    """Fold the BatchNorms that were put back."""
    context = recipe.context
    rules = context.rules.rules("fx", context.target.name)
    rewrite(graph, [r for r in rules if r.name.startswith(FOLDING)], context)


def evaluate(module: Prepared, batch: Batch) -> list[Array] | None:
    """What the module gives for a batch in eval mode, on the CPU in float32; None without one."""
    if not len(batch):
        return None
    copied = copy.deepcopy(module).to("cpu").eval()
    _as_before(copied)
    with torch.no_grad(), as_written(copied):
        args, kwargs = _arguments(copied, [tensor_of(np.array(x)) for x in batch])
        result = copied(*args, **kwargs)
    return [array_of(t) for t in pytree.tree_leaves(result) if isinstance(t, torch.Tensor)]


def _as_before(module: Prepared) -> None:
    """Parameters and buffers in the types that the graph has, after training in half precision."""
    recipe = module.recipe
    for name, place in recipe.written.places.items():
        tensor = tensor_at(module, place)
        data = cast(Array, recipe.graph.value(name).data)
        tensor.data = tensor.data.to(tensor_of(data).dtype)


def _arguments(module: Prepared, tensors: list[torch.Tensor]) -> tuple[list[Any], dict[str, Any]]:
    """The tensors, nested as the module takes them."""
    codegen = module.body.graph._codegen
    spec = getattr(getattr(codegen, "pytree_info", None), "in_spec", None)
    if spec is None:
        return list(tensors), {}
    given = iter(tensors)
    native = module.recipe.graph.native
    leaves = [next(given) if _is_input(kind) else kind for _, kind in native.placeholders]
    args, kwargs = pytree.tree_unflatten(leaves, spec)
    return list(args), dict(kwargs)


def _is_input(kind: Any) -> bool:
    return type(kind).__name__ == "Ref"
