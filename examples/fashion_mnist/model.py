"""A ResNet trained on Fashion-MNIST, as `sparqc compile` wants to see it.

`sparqc compile examples/fashion_mnist/model.py -o model.onnx` calls the functions below:
`model()` and `example_inputs()` are needed, `calibration()` and `evaluate()` are optional.
`train.py` made the two safetensors files that lie beside this one.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import relu

HERE = Path(__file__).parent
WEIGHTS = HERE / "weights.safetensors"
IMAGES = HERE / "images.safetensors"
BATCH = 8

# The mean and the standard deviation of the training set's pixels, with pixels from 0 to 1.
MEAN, STD = 0.2860, 0.3530


class Block(nn.Module):
    """Two 3x3 convolutions and a skip: a 1x1 convolution where the shape changes."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or cin != cout:
            projection = nn.Conv2d(cin, cout, 1, stride, bias=False)
            self.skip = nn.Sequential(projection, nn.BatchNorm2d(cout))

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return relu(y + self.skip(x))


class ResNet(nn.Module):
    """The CIFAR ResNet of He et al. (2016), section 4.2, for one grey channel.

    Takes `[N, 1, 28, 28]`, gives the logits `[N, 10]`. Three stages of `blocks` blocks; all
    widths are multiples of 16, which is what INT8 and 2:4 kernels ask for.
    """

    def __init__(self, blocks: int = 2, widths: tuple[int, int, int] = (16, 32, 64)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, widths[0], 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        stages: list[nn.Module] = []
        cin = widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                stages.append(Block(cin, width, stride=2 if stage and not block else 1))
                cin = width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(cin, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.bn(self.stem(x)))
        x = self.stages(x)
        return self.head(x.mean((2, 3)))


def normalize(pixels: Tensor) -> Tensor:
    """Turn uint8 images `[N, 28, 28]` into the float32 input `[N, 1, 28, 28]`."""
    return (pixels.unsqueeze(1).float() / 255 - MEAN) / STD


def model() -> nn.Module:
    """The trained network, ready for inference."""
    net = ResNet()
    net.load_state_dict(load_file(WEIGHTS))
    return net.eval()


def example_inputs() -> tuple[Tensor, ...]:
    """Eight test images. The batch stays dynamic: compile takes its size as an example."""
    return (normalize(load_file(IMAGES)["test_images"][:BATCH]),)


def calibration() -> Iterator[tuple[Tensor, ...]]:
    """Batches of training images. Never of test images: they must stay unseen for `evaluate`."""
    for batch in load_file(IMAGES)["calibration_images"].split(32):
        yield (normalize(batch),)


def evaluate(run: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """Top-1 accuracy in percent of `run`, which takes images and gives logits, on test images."""
    images = load_file(IMAGES)
    labels = images["test_labels"].long()
    batches = images["test_images"].split(BATCH)
    guesses = torch.cat([run(normalize(batch)).argmax(1) for batch in batches])
    return {"top-1": 100.0 * (guesses == labels).float().mean().item()}
