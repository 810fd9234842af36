"""ResNet-50 with seeded weights and eight images, for the benchmark; torch is all it needs."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

IMAGES = 8


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a skip (He et al. 2016; stride in the 3x3 one)."""

    def __init__(self, cin: int, width: int, stride: int) -> None:
        super().__init__()
        cout = 4 * width
        self.conv1 = nn.Conv2d(cin, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, cout, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(cout)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or cin != cout:
            skip = nn.Conv2d(cin, cout, 1, stride, bias=False)
            self.downsample = nn.Sequential(skip, nn.BatchNorm2d(cout))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return relu(y + self.downsample(x))


class ResNet50(nn.Module):
    """`[N, 3, H, W]` to the logits `[N, 1000]`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        blocks: list[nn.Module] = []
        cin = 64
        for stage, (count, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)]):
            for block in range(count):
                blocks.append(Bottleneck(cin, width, 2 if stage and not block else 1))
                cin = 4 * width
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(cin, 1000)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = self.maxpool(relu(self.bn1(self.conv1(x))))
        return self.fc(self.pool(self.blocks(x)).flatten(1))


def images(seed: int) -> Tensor:
    """Noise in place of photographs, `[8, 3, 224, 224]`."""
    return torch.randn(IMAGES, 3, 224, 224, generator=torch.Generator().manual_seed(seed))


def model() -> nn.Module:
    """The network with the default initialization, the same on each run."""
    torch.manual_seed(0)
    return ResNet50().eval()


def example_inputs() -> tuple[Tensor, ...]:
    """Eight images."""
    return (images(0),)


def calibration() -> Iterator[tuple[Tensor, ...]]:
    """Eight other images, in one batch."""
    yield (images(1),)
