"""Choose the weights that are multiplied sparsely, and mask them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from sparqc.ir.graph import Array, Graph, Value
from sparqc.ir.layer_names import name_of
from sparqc.ir.quantizers import require_float
from sparqc.numerics.two_four import is_two_four, two_four_mask
from sparqc.passes.layerwise.options import check_options
from sparqc.passes.masks.apply_mask import apply_mask
from sparqc.passes.masks.pruning import Mask, Pruning
from sparqc.passes.masks.sparse_layers import SparseLayer, sparse_layers
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context


@register
@dataclass(frozen=True)
class Prune(Pass):
    """Apply 2:4 masks along the reduction axis, wherever a fusion may run sparse.

    Of every four consecutive weights two stay; a weight that already is 2:4 keeps its zeros.  Each
    layer that stays dense is listed with its reason.  `method` chooses the two: "magnitude" keeps
    the largest; "permuted" first permutes channels, without any operator at run time, so that the
    largest keep more; "sparsegpt" chooses those whose loss the others can best make good, and
    solves what stays, layer by layer, so that each layer gives on the calibration data what it gave
    in the dense network; "auto" does so in less time where calibration data is there and the graph
    runs in PyTorch, leaves weights that are 2:4 as they are, and measures the outputs on data held
    back.

    `permute` permutes channels in front of "sparsegpt" too.  Other orders of channels stay where
    data held back say that they bring the outputs of the network, pruned by magnitude, nearer to
    those of the dense one; with fewer than 8 such samples, or none, and with `always`, all of them
    stay.  `damping` pulls weights of that method
    to what they were, by that share of the mean squared input; `batches` bounds its calibration
    data.  `mixed` adds so many mixtures of each image with another one, where inputs are floats:
    few images have correlations that others do not have.  `dense` keeps operators dense, in the
    words of `--dense`: "unlikely-to-pay" those for which no sparse kernel is likely to win.
    """

    name = "prune"
    preserves = "lossy"
    pattern: Literal["2:4"] = "2:4"
    method: Literal["magnitude", "permuted", "sparsegpt", "auto"] = "magnitude"
    permute: bool = False
    damping: float | None = None
    batches: int | None = None  # at most so many; none: all
    mixed: int = 0
    dense: tuple[str, ...] = ()
    always: bool = False

    def __post_init__(self) -> None:
        check_options(self.damping, self.batches)
        if self.mixed < 0:
            raise ValueError("mixed must be at least 0")

    def is_separable(self) -> bool:
        """Each layer by itself, unless channels are permuted throughout."""
        return not self.permute and self.method != "permuted"

    def run(self, graph: Graph, context: Context) -> int:
        """Mask the eligible weights; returns how many.

        Raises SparqcError on a graph with quantizers: their scales are those of other weights.
        """
        require_float(graph, self.name)
        layers = sparse_layers(graph, context, self.dense)
        sparse = list(_one_for_each_weight(layers))
        if self.permute or self.method == "permuted":
            from sparqc.passes.permute import permute_channels

            permute_channels(graph, context, sparse, always=self.always, batches=self.batches)
        misplaced = [layer for layer in sparse if _along_all(layer.data(context.table), layer.axis)]
        removed, rest = self._repair(graph, context, sparse)
        for layer in sparse:
            if layer.weight not in removed:
                removed[layer.weight] = _magnitude(graph, layer, context)
        masks: dict[str, Mask] = {}
        dense: dict[str, Mask] = {}
        for layer in layers:
            row = layer.mask(0.0 if layer.reason else removed.pop(layer.weight, 0.0))
            (dense if layer.reason else masks)[row.layer] = row
        names = tuple(name_of(layer.node) for layer in misplaced)
        context.facts.put(replace(rest, masks=masks, dense=dense, misplaced=names))
        return len(sparse)

    def _repair(
        self, graph: Graph, context: Context, layers: list[SparseLayer]
    ) -> tuple[dict[Value, float], Pruning]:
        """Mask the layers that can be repaired; the removed share of each weight, and what is to be
        told of it."""
        if self.method not in ("sparsegpt", "auto") or not layers:
            return {}, Pruning()
        # Only here is torch needed, which takes seconds to import.
        from sparqc.passes.layerwise.one_shot import OneShot
        from sparqc.passes.layerwise.solve import QUICK, THOROUGH

        effort = QUICK if self.method == "auto" else THOROUGH
        one_shot = OneShot(graph, context, self.damping, self.mixed, effort)
        if self.method == "sparsegpt":
            rows = one_shot.run(layers, self.batches)
            return one_shot.removed, Pruning(repaired=tuple(rows))
        from sparqc.passes.layerwise.automatic import repair_where_possible

        found = repair_where_possible(graph, context, layers, one_shot, self.batches)
        rest = Pruning(repaired=tuple(found.rows), unrepaired=found.reason, unseen=found.unseen)
        return one_shot.removed, rest


def _one_for_each_weight(layers: list[SparseLayer]) -> Iterator[SparseLayer]:
    """The layers to mask; of several that share a weight the first."""
    done: set[Value] = set()
    for layer in layers:
        if not layer.reason and layer.weight not in done:
            done.add(layer.weight)
            yield layer


def _magnitude(graph: Graph, layer: SparseLayer, context: Context) -> float:
    mask = two_four_mask(layer.data(context.table), layer.axis)
    return apply_mask(graph, layer, mask, context.table)


def _along_all(weight: Array, axis: int) -> bool:
    """Whether a convolution's weight is 2:4 along all that is summed up at once, in the order in
    which it lies there, and not along `axis`."""
    if weight.ndim < 3 or axis != 1 or is_two_four(weight, axis):
        return False
    flat = weight.reshape(len(weight), -1)
    return bool(flat.any()) and is_two_four(flat, 1)
