"""Solve the weights of some layers, one behind the other, and put them into the graph."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from sparqc.ir.fx.tensor import tensor_of
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.vocabulary.table import default_table
from sparqc.ir.weighted import weight_of, weight_spec
from sparqc.passes.layerwise.network import Network
from sparqc.passes.layerwise.normal_equations import Problem
from sparqc.passes.layerwise.repaired import Repaired
from sparqc.passes.layerwise.states import open_states
from sparqc.passes.layerwise.walk import Stop, Walk
from sparqc.passes.on_data.added_bias import added_bias
from sparqc.rewrite.context import Batch, Context


@dataclass(frozen=True)
class Solution:
    """New weights [G, K, N] of a layer, those that the plain way would give, and the damping."""

    weight: Tensor
    plain: Tensor
    damping: float


@dataclass(frozen=True)
class Task:
    """A layer to repair: `solve` takes its problem, and `keep` puts the solution into the graph.

    `weight` is the value that the layer multiplies by, and `rows` what it is, [G, K, N].
    """

    stop: Stop
    weight: Value
    rows: Tensor
    solve: Callable[[Problem], Solution]
    keep: Callable[[Tensor], None]


def repair(
    reference: Graph,
    graph: Graph,
    tasks: Sequence[Task],
    batches: Iterable[tuple[int, Batch]],
    context: Context,
) -> list[Repaired]:
    """Repair layers in the order of the graph, each behind those that are repaired already.

    Raises SparqcError where a layer sees NaN or infinite values, or an operator fails.
    """
    context.progress(0, len(tasks), "layers repaired")
    current = Network(graph, context.table)
    with open_states() as states:
        stops = [task.stop for task in tasks]
        walk = Walk(Network(reference, context.table), current, stops, batches, states)
        rows = []
        for index, task in enumerate(tasks):
            start = time.perf_counter()
            with torch.no_grad():
                rows.append(_repair(task, walk, index, start))
            context.progress(index + 1, len(tasks), "layers repaired")
    return rows


def _repair(task: Task, walk: Walk, index: int, start: float) -> Repaired:
    mean = free_mean(task.stop.node)
    problem = walk.measure(index).problem(centred=mean is not None)
    solution = task.solve(problem)
    if mean is not None:
        walk.current.set(mean.value, mean.move(problem, solution.weight))
    walk.current.set(task.weight, task.stop.form.to_weight(solution.weight))
    task.keep(solution.weight)
    energy = problem.energy.sum().clamp(min=1e-30)
    dense, plain, after = (
        (problem.errors(w).sum() / energy).item()
        for w in (task.rows, solution.plain, solution.weight)
    )
    node = task.stop.node
    seconds = time.perf_counter() - start
    return Repaired(
        layer=node.output.name,
        module=node.origin.module,
        columns=task.stop.form.columns,
        samples=problem.samples,
        dense=dense,
        plain=plain,
        after=after,
        damping=solution.damping,
        seconds=seconds,
    )


def refusal(node: Node, weight: Value) -> str:
    """Why the weight of a layer cannot be solved for this layer alone; "" where it can."""
    if len(weight.readers) > 1 or weight.is_output:
        return "its weight is shared"
    if _bias(node) is not None and free_mean(node) is None:
        return "its bias is shared, or computed"
    return ""


@dataclass(frozen=True)
class FreeMean:
    """A constant that moves the mean of a layer's output: its bias, which an Add behind it may add,
    or what a BatchNorm takes off.

    Where there is one, weights need not care for means.
    """

    value: Value
    is_bias: bool
    #: What the layer gives, with its bias.
    output: Value

    def move(self, problem: Problem, weight: Tensor) -> Tensor:
        """Set the constant so that the layer's outputs have the mean they had; returns it."""
        assert self.value.data is not None
        old = tensor_of(self.value.data)
        bias = problem.bias(weight).reshape(-1)
        new = (bias if self.is_bias else old.double() - bias).to(old.dtype)
        self.value.data = new.numpy()
        return new


def given(node: Node) -> Value:
    """What a layer gives, with the bias that can be set."""
    mean = free_mean(node)
    return mean.output if mean else node.output


def free_mean(node: Node) -> FreeMean | None:
    """The constant with which the mean of a layer's output can be set; None where it has none."""
    bias = _bias(node)
    if bias is not None:
        return FreeMean(bias, True, node.output) if _is_own(bias) else None
    found = weight_of(node, default_table())
    added = added_bias(found) if found else None
    if added is not None:
        return FreeMean(added.value, True, added.node.output) if _is_own(added.value) else None
    readers = node.output.readers
    if len(readers) != 1 or node.output.is_output or readers[0].op != "nn.batch_norm":
        return None
    mean = cast(Value, readers[0].operands["mean"])
    return FreeMean(mean, False, node.output) if _is_own(mean) else None


def _bias(node: Node) -> Value | None:
    spec = weight_spec(node, default_table())
    return cast("Value | None", node.operands.get(spec.bias or "")) if spec else None


def _is_own(value: Value) -> bool:
    return value.data is not None and len(value.readers) == 1 and not value.is_output
