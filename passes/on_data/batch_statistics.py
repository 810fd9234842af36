"""Run a graph whose BatchNorms normalise with the statistics of the data that goes through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn.functional import batch_norm

from sparqc.ir.fx.tensor import tensor_of
from sparqc.ir.graph import Graph, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.passes.on_data.in_torch import in_torch
from sparqc.passes.on_data.not_in_torch import NotInTorch
from sparqc.ranks.ranks import ALONE, Ranks
from sparqc.rewrite.context import Batch


class Moments:
    """Mean and variance of each channel (axis 1) over everything seen so far, in float64.

    Batches of any size count by their number of elements, and the means' spread from batch to
    batch is part of the variance: the result is that of all the data at once.  Source: Chan,
    Golub and LeVeque, Updating Formulae and a Pairwise Algorithm, 1979, formula 2.1.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor = torch.zeros(1, dtype=torch.float64)
        self._squares: Tensor = torch.zeros(1, dtype=torch.float64)  # sum of (x - mean)^2

    @property
    def variance(self) -> Tensor:
        """The mean squared deviation, [C]: what a BatchNorm in training normalises with."""
        return self._squares / max(self.count, 1)

    @property
    def unbiased_variance(self) -> Tensor:
        """The estimate of the variance of all inputs, [C]: what torch keeps as running_var."""
        return self._squares / max(self.count - 1, 1)

    def add(self, x: Tensor, ranks: Ranks = ALONE) -> None:
        """Take in a tensor [N, C, ...]; of several ranks those of all, in their order."""
        # What torch's BatchNorm itself measures with: a third of the time of var_mean.
        found = torch.batch_norm_update_stats(x.float(), None, None, momentum=0.0)
        mean, variance = (t.double() for t in found)
        count = torch.full_like(mean, x.numel() // x.shape[1])
        for other in ranks.gather(torch.stack([count, mean, variance]).numpy()):
            self._merge(*torch.from_numpy(other))

    def _merge(self, counts: Tensor, mean: Tensor, variance: Tensor) -> None:
        count = int(counts[0])
        total = self.count + count
        delta = mean - self.mean
        self._squares = self._squares + variance * count + delta**2 * (self.count * count / total)
        self.mean = self.mean + delta * (count / total)
        self.count = total


class BatchStatistics:
    """A graph that runs with live BatchNorms.

    `moments` holds, for the output of each BatchNorm, the statistics of its input; several may
    share theirs.  Where several ranks are given the same batches, each runs a part of every batch,
    and they normalise with the statistics of all.  Raises NotInTorch for an ONNX graph with an
    operator that has no form in PyTorch.
    """

    def __init__(
        self,
        graph: Graph,
        table: OperatorTable,
        moments: Mapping[Value, Moments],
        ranks: Ranks = ALONE,
    ) -> None:
        hint = "compile the PyTorch model, or leave `reestimate` out"
        graph, writer = in_torch(graph, table, hint)
        self._inputs = [writer.nodes[value] for value in graph.inputs]
        self._placeholders = list(writer.fx.find_nodes(op="placeholder"))
        by_node = {writer.nodes[graph.value(v.name)]: found for v, found in moments.items()}
        self._interpreter = _Interpreter(writer.module, by_node)
        self._ranks = ranks
        self._cuttable = _has_free_batch(graph)

    def run(self, batch: Batch) -> None:
        """Run a batch of arrays, one for each graph input, and update the moments.

        Raises NotInTorch where an operator fails on it.
        """
        part = self._ranks.part(len(batch[0])) if self._cuttable else None
        self._interpreter.ranks = self._ranks if part else ALONE
        if part:
            batch = [array[part] for array in batch]
        env: dict[fx.Node, Any] = dict.fromkeys(self._placeholders)
        env |= zip(self._inputs, map(tensor_of, batch), strict=True)
        try:
            with torch.no_grad():
                self._interpreter.run(initial_env=env)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            reason = str(error).partition("\n")[0]
            raise NotInTorch(f"the model fails on the batch: {reason}") from error


def _has_free_batch(graph: Graph) -> bool:
    """Whether the first dimension of all inputs is the same symbol."""
    first = {value.shape[0] if value.shape else 0 for value in graph.inputs}
    return len(first) == 1 and isinstance(first.pop(), str)


class _Interpreter(fx.Interpreter):
    """Normalises with the moments of all data so far, the batch at hand included.

    With those of the batch alone, as torch does in training, the layers behind would see the noise
    of small batches.
    """

    def __init__(self, module: fx.GraphModule, moments: Mapping[fx.Node, Moments]) -> None:
        super().__init__(module)
        self.moments = moments
        self.ranks = ALONE

    def run_node(self, n: fx.Node) -> Any:
        """Run one node."""
        if n not in self.moments:
            return super().run_node(n)
        moments = self.moments[n]
        (x, scale, bias, *_, epsilon, _), _ = self.fetch_args_kwargs_from_env(n)
        moments.add(x, self.ranks)
        mean, variance = moments.mean.to(x.dtype), moments.variance.to(x.dtype)
        return batch_norm(x, mean, variance, scale, bias, eps=epsilon)
