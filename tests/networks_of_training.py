"""Small networks for the tests of training, with data of their own."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

#: Two classes that a short training tells apart: the sign of the mean.
CLASSES = 2


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.2)

    def forward(self, x: Tensor) -> Tensor:
        return relu(x + self.bn2(self.conv2(relu(self.bn1(self.conv1(x))))))


class Net(nn.Module):
    """[N, 3, 8, 8] -> [N, 2]: a stem, a residual block with 2:4 weights, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        self.block = Block(16)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(relu(self.bn(self.stem(x)))).mean((2, 3)))


def batch(seed: int, count: int = 32) -> tuple[Tensor, Tensor]:
    """Images and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    noise = torch.randn(count, 3, 8, 8, generator=generator)
    return noise + (labels * 2.0 - 1.0)[:, None, None, None] / 2, labels


def calibration():
    return [(batch(1000 + index)[0],) for index in range(3)]


def example() -> tuple[Tensor, ...]:
    return (batch(0, 8)[0],)


def lived_in(net: nn.Module, seed: int = 0) -> nn.Module:
    """The network in eval mode, with parameters and statistics as training leaves them."""
    torch.manual_seed(seed)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d) and part.affine:
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.3, 0.3)
    net.train()
    with torch.no_grad():
        for index in range(20):
            net(batch(index)[0])
    return net.eval()


def network() -> Net:
    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():
        net.bn.weight[3] *= -1  # a channel that turns its sign when the BatchNorm is folded
    lived = lived_in(net)
    with torch.no_grad():
        net.bn.weight[3] *= -1
        net.block.bn1.weight[5] = 0  # and one that is nothing at all
    return lived


def train(module: nn.Module, optimizer: torch.optim.Optimizer, steps: int, autocast=None) -> float:
    """Train on batches 0, 1, …; the last loss."""
    loss = torch.zeros(())
    for index in range(steps):
        images, labels = batch(index)
        with torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None):
            loss = cross_entropy(module(images).float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()
