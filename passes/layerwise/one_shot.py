"""2:4 masks by SparseGPT, with the weights that stay repaired from the calibration data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from sparqc.ir.fx.tensor import tensor_of
from sparqc.ir.graph import Graph, Value
from sparqc.ir.weighted import weight_of
from sparqc.numerics.two_four import is_two_four, two_four_mask
from sparqc.passes.layerwise.damping import best_share, damped
from sparqc.passes.layerwise.matrix_form import MatrixForm, matrix_form
from sparqc.passes.layerwise.mixtures import with_mixtures
from sparqc.passes.layerwise.normal_equations import Problem
from sparqc.passes.layerwise.repair import Solution, Task, given, refusal, repair
from sparqc.passes.layerwise.repaired import Repaired
from sparqc.passes.layerwise.solve import THOROUGH, Effort, sparse
from sparqc.passes.layerwise.walk import Stop
from sparqc.passes.masks.apply_mask import apply_mask
from sparqc.passes.masks.sparse_layers import SparseLayer
from sparqc.passes.on_data.batches import calibration_batches
from sparqc.rewrite.context import Batch, Context


class OneShot:
    """The layers of a graph that can be repaired while they are pruned."""

    def __init__(
        self,
        graph: Graph,
        context: Context,
        damping: float | None,
        mixed: int = 0,
        effort: Effort = THOROUGH,
    ) -> None:
        self._graph, self._context, self._damping, self._mixed = graph, context, damping, mixed
        self._effort = effort
        #: The share of each masked weight's squared norm that stood where there are zeros now.
        self.removed: dict[Value, float] = {}

    def run(self, layers: Sequence[SparseLayer], batches: int | None) -> list[Repaired]:
        """Mask and repair the layers in place; those without a matrix form are left out.

        Raises SparqcError as `repair` does, and where calibration data is missing or does not fit.
        """
        return self.run_on(layers, calibration_batches(self._graph, self._context, batches))

    def run_on(
        self, layers: Sequence[SparseLayer], batches: Iterable[tuple[int, Batch]]
    ) -> list[Repaired]:
        """As `run`, on batches that are there already, each with its number."""
        reference = self._graph.clone()
        tasks = [task for layer in layers if (task := self._task(layer, reference))]
        if not tasks:
            return []
        mixed = with_mixtures(list(batches), self._mixed) if self._mixed else batches
        return repair(reference, self._graph, tasks, mixed, self._context)

    def _task(self, layer: SparseLayer, reference: Graph) -> Task | None:
        found = weight_of(layer.node, self._context.table)
        form = matrix_form(found) if found else ""
        if found is None or not isinstance(form, MatrixForm) or refusal(layer.node, layer.weight):
            return None
        data = layer.data(self._context.table)
        is_pruned = is_two_four(data, layer.axis)
        rows = form.to_rows(tensor_of(data).float())
        mask = form.to_rows(torch.from_numpy(two_four_mask(data, layer.axis)))

        def solve(problem: Problem) -> Solution:
            share = self._damping or best_share(problem, rows, mask, self._effort)
            hessian, cross = damped(problem, rows, share)
            weight, _ = sparse(hessian, cross, rows, mask if is_pruned else None, self._effort)
            return Solution(weight, rows * mask, share)

        def keep(weight: Tensor) -> None:
            self._keep(layer, form.to_weight(weight))

        y = reference.value(given(layer.node).name)
        stop = Stop(layer.node, form, found.data, y)
        return Task(stop, layer.weight, rows, solve, keep)

    def _keep(self, layer: SparseLayer, weight: Tensor) -> None:
        mask = (weight != 0).numpy()
        self.removed[layer.weight] = apply_mask(
            self._graph, layer, mask, self._context.table, weight.numpy()
        )
