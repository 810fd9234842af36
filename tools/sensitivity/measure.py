"""What each layer loses by INT8, by 2:4, and by both, alone in a float network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from sparqc.ir.graph import Array, Value
from sparqc.ir.weighted import weight_of
from sparqc.passes.on_data.batch_statistics import Moments
from sparqc.tools.sensitivity.judge import Judge, Score
from sparqc.tools.sensitivity.parts import ALL, Part
from sparqc.tools.sensitivity.study import Masked, Study, StudyLayer
from sparqc.tools.sensitivity.variant import Weights, variant


@dataclass(frozen=True)
class LayerLoss:
    """The scores with one change to one layer; None for what is not to be done to it."""

    layer: StudyLayer
    int8: Score | None = None
    sparse: Score | None = None
    both: Score | None = None

    @property
    def planned(self) -> Score:
        """With all that the pipeline does to it."""
        found = self.both or self.int8 or self.sparse
        assert found is not None
        return found


def measure(study: Study, judge: Judge, part: Part = ALL) -> list[LayerLoss]:
    """Each layer's scores on a part of the samples, in the order of the network.

    Raises SparqcError where a variant fails, or its metric is no number.
    """
    order = {v.name: i for i, node in enumerate(study.plain.nodes) for v in node.outputs}
    starts = {layer: min(order[name] for name in layer.nodes) for layer in study.layers}
    found: dict[StudyLayer, LayerLoss] = {}
    for done, layer in enumerate(sorted(study.layers, key=starts.__getitem__)):
        judge.move_to(starts[layer])
        found[layer] = _measured(layer, study, judge, part)
        study.context.progress(done + 1, len(study.layers), "layers")
    return [found[layer] for layer in study.layers]


def _measured(layer: StudyLayer, study: Study, judge: Judge, part: Part) -> LayerLoss:
    def score(int8: bool, weights: Iterable[Weights], what: str) -> Score:
        graph = variant(study, layer, int8, list(weights))
        return judge.score(graph, f"{layer.title} {what}", part=part)

    weights = [masked_weights(mask, layer, study, judge) for mask in layer.masked]
    quantized = bool(layer.slots)
    return LayerLoss(
        layer,
        int8=score(True, (), "in INT8") if quantized else None,
        sparse=score(False, weights, "with 2:4 weights") if weights else None,
        both=score(True, weights, "as sparse INT8") if quantized and weights else None,
    )


def masked_weights(mask: Masked, layer: StudyLayer, study: Study, judge: Judge) -> Weights:
    """The masked weight, and where a BatchNorm was behind it, with its statistics measured again.

    The BatchNorm is folded by now.  To measure its statistics again gives what the layer gives the
    mean and the variance of each channel that it has with dense weights, on the same data.  Weights
    that were repaired come with a bias that was solved for the pruned network; the same holds for
    the mean there.
    """
    plain = Weights(mask.node, mask.weight)
    if not (mask.renormalized or mask.repaired) or not judge.calibration.states:
        return plain
    node = study.plain.value(mask.node).producer
    assert node is not None
    found = weight_of(node, study.context.table)
    if found is None or found.spec.bias is None:
        return plain
    channels = mask.weight.shape[found.channel_axis]
    graph = variant(study, layer, False, [plain])
    before = _moments(judge.values(study.plain, mask.node), channels)
    after = _moments(judge.values(graph, mask.node), channels)
    if before is None or after is None:
        return plain
    spread, bias = before.variance.numpy(), _bias(found.bias, channels)
    alive = after.variance.numpy() > 1e-12 * np.maximum(spread, 1e-30)
    alive &= mask.renormalized
    factor = np.sqrt(np.divide(spread, after.variance.numpy(), out=np.ones(channels), where=alive))
    shape = [-1 if i == found.channel_axis else 1 for i in range(mask.weight.ndim)]
    moved = (bias - after.mean.numpy()) * factor + before.mean.numpy()
    return Weights(
        mask.node,
        (mask.weight * factor.reshape(shape)).astype(mask.weight.dtype),
        moved.astype(mask.weight.dtype),
    )


def _moments(arrays: Iterable[Array], channels: int) -> Moments | None:
    """Mean and variance of each channel; None where axis 1 is no channel axis."""
    moments = Moments()
    for array in arrays:
        if array.ndim < 2 or array.shape[1] != channels:
            return None
        moments.add(torch.from_numpy(np.ascontiguousarray(array)))
    return moments


def _bias(bias: Value | None, channels: int) -> Array:
    data = None if bias is None else bias.data
    return np.zeros(channels) if data is None else data.astype(np.float64)
