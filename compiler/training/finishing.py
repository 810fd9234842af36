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

from sparqc.api import Compiled, Job, few, run_job
from sparqc.engine.worklist import rewrite
from sparqc.errors import SparqcError, UsageError
from sparqc.ir.constants import constant_value, is_constant
from sparqc.ir.fx_tensor import array_of, tensor_of
from sparqc.ir.graph import Array, Graph, Node, TensorType, Value, dtype_name
from sparqc.passbase import Batch
from sparqc.training.fake_quantize import positive, weight_scale
from sparqc.training.normalization import operand
from sparqc.training.prepared import Prepared, Recipe

#: The rules that fold a BatchNorm into the layer in front of it.
FOLDING = "fold_batch_norm"


def finish(prepared: nn.Module, path: Path | str | None = None) -> Compiled:
    """Export a prepared module: fold, export, and the passes behind that; as `sparqc.compile`.

    Writes the file where a path is given.  `Compiled.difference` is that of the ONNX graph in
    onnxruntime to the module in eval mode, on the example inputs.  The module stays as it is, and
    can be trained and finished again.

    Raises UsageError for a module that was not prepared, SparqcError where training has left NaN or
    infinite weights, and where `sparqc.compile` would.
    """
    module = _prepared(prepared)
    recipe = module.recipe
    graph = trained_graph(module)
    if recipe.unfolded:
        _fold(graph, recipe)
    context = replace(recipe.context, facts=dict(recipe.context.facts), scales={})
    expected = evaluate(module, few(graph, context.example))
    job = Job(graph, recipe.rest, context, recipe.notes)
    compiled = run_job(job, expected=expected)
    if path is not None:
        compiled.save(path)
    return compiled


def _prepared(module: nn.Module) -> Prepared:
    """The prepared module, also inside of DistributedDataParallel and torch.compile."""
    for name in ("_orig_mod", "module"):
        inner = getattr(module, name, None)
        if isinstance(inner, nn.Module) and not isinstance(module, Prepared):
            return _prepared(inner)
    if not isinstance(module, Prepared):
        raise UsageError(
            f"finish takes what sparqc.prepare gave, not {type(module).__name__}",
            hint="prepared = sparqc.prepare(module, inputs, calibration=…)",
        )
    return module


def evaluate(module: Prepared, batch: Batch) -> list[Array] | None:
    """What the module gives for a batch in eval mode, on the CPU in float32; None without one."""
    if not len(batch):
        return None
    copied = copy.deepcopy(module).to("cpu").eval()
    _as_before(copied)
    with torch.no_grad():
        result = copied(*_arguments(copied, [tensor_of(np.array(x)) for x in batch]))
    return [array_of(t) for t in pytree.tree_leaves(result) if isinstance(t, torch.Tensor)]


def _as_before(module: Prepared) -> None:
    """Parameters and buffers in the types that the graph has, after training in half precision."""
    recipe = module.recipe
    for name, place in recipe.written.places.items():
        owner, _, leaf = place.rpartition(".")
        tensor = getattr(module.body.get_submodule(owner), leaf)
        data = cast(Array, recipe.graph.value(name).data)
        tensor.data = tensor.data.to(tensor_of(data).dtype)


def _arguments(module: Prepared, tensors: list[torch.Tensor]) -> list[Any]:
    """The tensors, nested as the module takes them."""
    codegen = module.body.graph._codegen
    spec = getattr(getattr(codegen, "pytree_info", None), "in_spec", None)
    if spec is None:
        return list(tensors)
    given = iter(tensors)
    native = module.recipe.graph.native
    leaves = [next(given) if _is_input(kind) else kind for _, kind in native.placeholders]
    args, _ = pytree.tree_unflatten(leaves, spec)
    return list(args)


def _is_input(kind: Any) -> bool:
    return type(kind).__name__ == "Ref"


# -- from the module to the graph ---------------------------------------------------------------


def trained_graph(module: Prepared) -> Graph:
    """The graph with the weights and scales that the module has now; weights lie on their codes.

    Raises SparqcError, naming the weight, where one is NaN or infinite.
    """
    recipe = module.recipe
    graph = recipe.graph.clone()
    for name, place in recipe.written.places.items():
        owner, _, leaf = place.rpartition(".")
        tensor = getattr(module.body.get_submodule(owner), leaf)
        _take(graph.value(name), tensor, place, learned=_learned(recipe, place, tensor))
    for node in graph.nodes:
        if node.op == "q.qdq":
            _settle(graph, node, recipe)
    return graph


def _learned(recipe: Recipe, place: str, tensor: torch.Tensor) -> bool:
    return place in recipe.written.scales and isinstance(tensor, nn.Parameter)


def _take(value: Value, tensor: torch.Tensor, place: str, *, learned: bool) -> None:
    before = cast(Array, value.data)
    after = array_of(positive(tensor.detach()) if learned else tensor, place)
    if after.dtype.kind == "f" and np.isfinite(before).all() and not np.isfinite(after).all():
        bad = int((~np.isfinite(after)).sum())
        raise SparqcError(
            f"{place} has {bad} numbers of {after.size} that are NaN or infinite",
            hint="the training diverged: go back to an earlier checkpoint, with a smaller step",
        )
    value.data = np.array(after.astype(before.dtype, copy=False))


def _settle(graph: Graph, node: Node, recipe: Recipe) -> None:
    """Give a weight's quantizer its scale, and put the weight on its codes: then folding cannot
    move a weight that lies between two of them."""
    x, scale, table = operand(node, "x"), operand(node, "scale"), recipe.context.table
    if x is None or scale is None or not is_constant(x, table):
        return
    if scale.name in recipe.written.derived:
        _follow(node, x, scale, recipe)
    weight = x if x.data is not None else operand(cast(Node, x.producer), "w")
    if weight is not None and weight.data is not None and weight.reader_count == 1:
        settled = cast(Array, constant_value(node.output, table))
        weight.data = settled.astype(weight.data.dtype)


def _follow(node: Node, weight: Value, scale: Value, recipe: Recipe) -> None:
    """The scale as the module computes it from the weight."""
    array = cast(Array, constant_value(weight, recipe.context.table))
    axis, high = cast("int | None", node.attributes["axis"]), cast(int, node.attributes["high"])
    scale.data = weight_scale(tensor_of(np.array(array, np.float32)), axis, high).numpy()
    scale.type = TensorType(dtype_name(scale.data.dtype), scale.data.shape)


def _fold(graph: Graph, recipe: Recipe) -> None:
    """Fold the BatchNorms that were put back."""
    context = recipe.context
    rules = context.rules.rules("fx", context.target.name)
    rewrite(graph, [r for r in rules if r.name.startswith(FOLDING)], context)
