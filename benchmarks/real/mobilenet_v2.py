"""torchvision's MobileNetV2 with its ImageNet weights, as `sparqc compile` wants to see it.

python benchmarks/real/fetch.py
sparqc compile benchmarks/real/mobilenet_v2.py -o mobilenet_v2.onnx
"""

import torch
from folder import fetched
from on_photographs import OnPhotographs
from torch import Tensor, nn

#: Of ImageNet's pixels, red, green, blue, with pixels from 0 to 1.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalize(pixels: Tensor) -> Tensor:
    """Turn uint8 RGB images `[N, 3, H, W]` into the network's input."""
    mean, std = (torch.tensor(x).reshape(1, 3, 1, 1) for x in (MEAN, STD))
    return (pixels.float() / 255 - mean) / std


def model() -> nn.Module:
    """The trained network, ready for inference."""
    (file,) = fetched("mobilenet_v2").glob("*.pth")
    net: nn.Module = _network()
    net.load_state_dict(torch.load(file, weights_only=True))
    return net.eval()


def _network() -> nn.Module:
    # torchvision looks for its compiled operators, which a torch of another build does not load.
    # Declaring two of them is enough; this network uses none.
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision.models import mobilenet_v2

    return mobilenet_v2()


data = OnPhotographs(model, normalize)
example_inputs, calibration = data.example_inputs, data.calibration
evaluated, evaluate = data.evaluated, data.evaluate
