"""torchvision's MobileNetV2 with its ImageNet weights, as `sparqc compile` wants to see it.

python benchmarks/real/fetch.py
sparqc compile benchmarks/real/mobilenet_v2.py -o mobilenet_v2.onnx
"""

from collections.abc import Iterator
from functools import cache

import torch
from agreement import Run, answers, figures
from evaluated import Evaluated
from folder import fetched
from photographs import calibration_images
from photographs import evaluated as on_photographs
from torch import Tensor, nn

BATCH = 16
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


def example_inputs() -> tuple[Tensor, ...]:
    """Two crops of photographs for calibration."""
    return (normalize(calibration_images(2)),)


def calibration() -> Iterator[tuple[Tensor, ...]]:
    """64 crops of photographs that `evaluate` does not look at."""
    for batch in calibration_images().split(BATCH):
        yield (normalize(batch),)


def evaluated(every: int = 1) -> Evaluated:
    """Crops of photographs of ImageNet, and their classes."""
    return on_photographs(normalize, every)


@cache
def reference() -> Tensor:
    """The float network's logits of the evaluation images."""
    return answers(model(), normalize)


def evaluate(run: Run) -> dict[str, float]:
    """Agreement with the float network, top-1 on labels, and the signal-to-noise ratio."""
    return figures(reference(), answers(run, normalize))
