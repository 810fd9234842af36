"""PT2E of torchao: `python with_torchao.py EXCHANGE OBSERVER LOGITS.npy`.

Runs in an environment of its own.  OBSERVER is the observer of activations: MinMax,
MovingAverageMinMax, or Histogram, PT2E's default, which minimizes the squared error.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from exchange import BATCH, THREADS, calibration, evaluation, network
from torch import Tensor
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import (
    HistogramObserver,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    PerChannelMinMaxObserver,
)
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
)
from where import also_quantized

OBSERVERS = {
    "MinMax": MinMaxObserver,
    "MovingAverageMinMax": MovingAverageMinMaxObserver,
    "Histogram": HistogramObserver,
}
WEIGHTED = {torch.ops.aten.conv2d.default, torch.ops.aten.linear.default}


class SymmetricInt8(Quantizer):
    """Symmetric INT8 where TensorRT wants it; PT2E's own quantizers are for other targets."""

    def __init__(self, observer: str) -> None:
        super().__init__()
        self.activation = QuantizationSpec(
            dtype=torch.int8,
            quant_min=-128,
            quant_max=127,
            qscheme=torch.per_tensor_symmetric,
            observer_or_fake_quant_ctr=OBSERVERS[observer],
        )
        self.weight = QuantizationSpec(
            dtype=torch.int8,
            quant_min=-127,
            quant_max=127,
            qscheme=torch.per_channel_symmetric,
            ch_axis=0,
            observer_or_fake_quant_ctr=PerChannelMinMaxObserver,
        )

    def annotate(self, model: GraphModule) -> GraphModule:
        """Say what is quantized on which edge of the graph."""
        for node in model.graph.nodes:
            if node.target in WEIGHTED:
                self._annotate(node, {node.args[0]: self.activation, node.args[1]: self.weight})
        for node, read in also_quantized(model.graph):
            self._annotate(node, {read: self.activation})
        return model

    def _annotate(self, node: Node, inputs: dict[Node, QuantizationSpec]) -> None:
        node.meta["quantization_annotation"] = QuantizationAnnotation(
            input_qspec_map=inputs, _annotated=True
        )

    def validate(self, model: GraphModule) -> None:
        """Every annotation is allowed."""


def main(exchange: str, observer: str, logits: str) -> None:
    """Quantize, run, and write the logits."""
    torch.set_num_threads(THREADS)
    folder = Path(exchange)
    net = network(folder.name).model()
    images = torch.from_numpy(calibration(folder)).split(BATCH)
    batch = {0: torch.export.Dim("batch", min=2, max=64)}
    exported = torch.export.export(net, (images[0],), dynamic_shapes=(batch,)).module()
    with torch.no_grad():
        prepared = prepare_pt2e(exported, SymmetricInt8(observer))
        for image in images:
            prepared(image)
        quantized = convert_pt2e(prepared)
        found: list[Tensor] = [quantized(torch.from_numpy(x)) for x in evaluation(folder)]
    np.save(logits, torch.cat(found).numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])
