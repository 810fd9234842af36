"""Write pt2e.pt2 and pt2e.npz: what torchao's PT2E quantization makes of the network.

    pip install torchao==0.18.0 torch==2.13.0
    python tests/adopted/make_pt2e.py

The npz holds an input and what the converted program gives for it.
"""

from pathlib import Path

import numpy as np
import torch
from network import Network, images, trained
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.testing.pt2e._xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)

HERE = Path(__file__).parent


def main() -> None:
    """Quantize, and write the two files."""
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.export.export(trained(Network()), (images(),), dynamic_shapes=shapes)
    quantizer = XNNPACKQuantizer().set_global(
        get_symmetric_quantization_config(is_per_channel=True)
    )
    model = prepare_pt2e(program.module(), quantizer)
    for seed in range(2, 5):
        model(images(8, seed))
    model = convert_pt2e(model)
    converted = torch.export.export(model, (images(),), dynamic_shapes=shapes)
    for node in converted.graph.nodes:
        node.meta.pop("stack_trace", None)  # where it was made is nobody's business
    torch.export.save(converted, HERE / "pt2e.pt2")
    with torch.no_grad():
        y = model(images())
    np.savez_compressed(HERE / "pt2e.npz", input=images().numpy(), output=y.numpy())


main()
