"""torchvision's ResNet-34, to see what sparqc makes of its structure.

The weights are seeded, not trained, and there is no data, so nothing is said of accuracy, and
calibrating needs the flag that allows random data:

    sparqc compile examples/resnet34/model.py --random-calibration -o build/resnet34.onnx

The report compares the outputs with the dense original's all the same: pruned at random, a random
network gives other random numbers, so a signal-to-noise ratio near 0 dB is no bad sign here.

For a real network, load its weights in `model()` and add `calibration()`; the Fashion-MNIST
example beside this one shows both.
"""

import torch
from torch import Tensor, nn


def name_torchvision_operators() -> torch.library.Library:
    """Let torchvision be imported where its own C++ operators cannot be loaded.

    That is so for a torchvision built for CUDA beside a CPU build of torch: the import stops at
    the names of two operators. A ResNet calls neither, so that the names are all it takes.
    """
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


try:
    from torchvision.models import resnet34
except RuntimeError:
    OPERATORS = name_torchvision_operators()  # kept: torch forgets the names together with it
    from torchvision.models import resnet34


def model() -> nn.Module:
    """ResNet-34 with random weights, the same on each run."""
    torch.manual_seed(0)
    return resnet34(weights=None).eval()


def example_inputs() -> tuple[Tensor, ...]:
    """Two images of noise, `[2, 3, 224, 224]`. The batch stays dynamic."""
    return (torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)),)
