"""Measure the ranges of activations anew, while a module trains."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import nn

from sparqc.base.keywords import suggests_keywords
from sparqc.ir.constants import is_constant
from sparqc.ir.fx.tensor import tensor_of
from sparqc.ir.graph import Array, Graph
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.job.batches import Calibration, given_batches
from sparqc.pipeline import run as pipelines
from sparqc.pipeline.run import Item, Pipeline
from sparqc.training.normalization import operand
from sparqc.training.prepared import Recipe, prepared_of
from sparqc.training.trained import trained_graph


@suggests_keywords
def recalibrate(prepared: nn.Module, calibration: Calibration) -> None:
    """Measure the scales of activations anew, with the pass of the pipeline that measured them.

    After long training the ranges are no longer those that `prepare` saw.  Learned scales, and
    those of weights, stay as they are.  Raises SparqcError where the data does not fit.
    """
    module = prepared_of(prepared, "recalibrate")
    recipe, table = module.recipe, module.recipe.context.table
    graph = trained_graph(module)
    wanted = _forget_scales(graph, recipe, table)
    if not wanted:
        return
    context = replace(
        recipe.context,
        calibration=given_batches(graph, calibration),
        random_calibration=False,
        facts=recipe.context.facts.copy(),
    )
    for item in dict.fromkeys(wanted.values()):
        graph = pipelines.run(Pipeline((item,)), graph, context)
    with torch.no_grad():
        for name in wanted:
            found = cast(Array, graph.value(name).data)
            module.body.get_buffer(recipe.written.places[name]).copy_(tensor_of(np.array(found)))


def _forget_scales(graph: Graph, recipe: Recipe, table: OperatorTable) -> dict[str, Item]:
    """Make the scales of activations unknown again; each with the pass that measured it."""
    forgotten: dict[str, Item] = {}
    for node in graph.nodes:
        x, scale = operand(node, "x"), operand(node, "scale")
        if node.op != "q.qdq" or x is None or scale is None or is_constant(x, table):
            continue
        place = recipe.written.places[scale.name]
        if scale.name in recipe.measured and place not in recipe.written.learned:
            forgotten[scale.name] = recipe.measured[scale.name]
            scale.data = np.full_like(cast(Array, scale.data), np.nan)
    return forgotten
