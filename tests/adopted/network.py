"""The small residual network that the other tools were run on."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Make = Callable[..., nn.Module]


class Block(nn.Module):
    """Two convolutions and a skip connection, with a convolution on it where the size changes."""

    def __init__(self, stride: int, conv: Make) -> None:
        super().__init__()
        self.conv1 = conv(16, 16, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = conv(16, 16, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.skip = (
            nn.Sequential(conv(16, 16, 1, stride, bias=False), nn.BatchNorm2d(16))
            if stride > 1
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.skip is None else self.skip(x)))


class Network(nn.Module):
    """f32[batch, 3, 16, 16] -> f32[batch, 16]; `conv` and `linear` make the layers."""

    def __init__(self, conv: Make = nn.Conv2d, linear: Make = nn.Linear) -> None:
        super().__init__()
        self.conv1 = conv(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.layer1, self.layer2 = Block(1, conv), Block(2, conv)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.fc = linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.mean(self.layer2(self.layer1(x))), 1))


def trained(net: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and statistics as a training could have left them; factors of both signs."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(module.weight, -1, 1.5, generator=generator)
            nn.init.normal_(module.bias, 0, 0.1, generator=generator)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(module.weight, generator=generator)
    return net.eval()


def images(count: int = 4, seed: int = 1) -> Tensor:
    """f32[count, 3, 16, 16], standard normal."""
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
