"""Which BatchNorms of a graph are those of the user's modules, and so train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import numpy as np
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.training.normalization import operand


def batch_norm_modules(module: nn.Module) -> dict[str, BatchNorm]:
    """The BatchNorms of a module by the name of their running mean.

    Others that a model may have are frozen by construction: functions on statistics of their own.
    """
    return {
        f"{name}.running_mean".removeprefix("."): part
        for name, part in module.named_modules(remove_duplicate=False)
        if isinstance(part, BatchNorm)
    }


def trained_batch_norms(
    graph: Graph, models: Mapping[str, BatchNorm]
) -> Iterator[tuple[str, BatchNorm]]:
    """The BatchNorms of the graph that belong to a module, by the value that they define."""
    for node in graph.nodes:
        mean, var = operand(node, "mean"), operand(node, "var")
        if node.op != "nn.batch_norm" or mean is None or var is None or var.data is None:
            continue
        if mean.name in models:
            _complete(graph, node, mean)
            yield node.output.name, models[mean.name]


def _complete(graph: Graph, node: Node, mean: Value) -> None:
    """A BatchNorm has a scale and a bias, or neither: nn.BatchNorm knows nothing between."""
    data = cast(Array, mean.data)
    scale, bias = operand(node, "scale"), operand(node, "bias")
    if scale is None and bias is not None:
        graph.set_operand(node, "scale", graph.constant(np.ones_like(data), f"{mean.name}_scale"))
    if bias is None and scale is not None:
        graph.set_operand(node, "bias", graph.constant(np.zeros_like(data), f"{mean.name}_bias"))
