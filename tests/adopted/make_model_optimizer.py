"""Write model_optimizer.npz, .json and .onnx: what Model Optimizer makes of the network.

    pip install nvidia-modelopt==0.47.0 torch==2.13.0 onnx onnxscript
    python tests/adopted/make_model_optimizer.py

The npz holds the state dict, an input and what the fake-quantized model gives for it; the JSON the
attributes of each quantizer; the ONNX file is torch.onnx's, with the quantizers as Q/DQ.
"""

import json
from pathlib import Path

import modelopt.torch.quantization as mtq
import numpy as np
import onnx
import torch
from network import Network, images, trained

HERE = Path(__file__).parent
KEPT = ("_num_bits", "_axis", "_unsigned", "_narrow_range", "_disabled", "_fake_quant")


def main() -> None:
    """Quantize, and write the three files."""
    model = mtq.quantize(
        trained(Network()),
        mtq.INT8_DEFAULT_CFG,
        forward_loop=lambda m: [m(images(8, seed)) for seed in range(2, 5)],
    )
    x = images()
    with torch.no_grad():
        y = model(x)
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    np.savez_compressed(HERE / "model_optimizer.npz", input=x.numpy(), output=y.numpy(), **arrays)
    attributes = {
        name: {key: getattr(module, key) for key in KEPT}
        for name, module in model.named_modules()
        if type(module).__name__ == "TensorQuantizer"
    }
    (HERE / "model_optimizer.json").write_text(json.dumps(attributes, indent=1) + "\n")
    torch.onnx.export(
        model, (x,), HERE / "model_optimizer.onnx", dynamo=False, opset_version=17,
        input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
    )  # fmt: skip
    exported = onnx.load(HERE / "model_optimizer.onnx")
    for node in exported.graph.node:
        node.ClearField("doc_string")  # where it was made is nobody's business
    onnx.save(exported, HERE / "model_optimizer.onnx")


main()
