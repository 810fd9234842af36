"""Plain blocks: what no package has in a small model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.zoo.architecture import Architecture, Shapes, image

MAP = image(32)


class Temporal(nn.Module):
    """Dilated one-dimensional convolutions with a skip, as in sound and time series."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(16, 64, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv1d(64, 64, 3, padding=d, dilation=d), nn.BatchNorm1d(64))
            for d in (1, 2, 4)
        )
        self.head = nn.Conv1d(64, 32, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        for block in self.blocks:
            x = torch.relu(x + block(x))
        return self.head(x)


class Recurrent(nn.Module):
    """Convolutions in front of an LSTM, which no weight of a convolution crosses."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d((8, 1))
        )
        self.lstm = nn.LSTM(64, 32, batch_first=True)
        self.head = nn.Linear(32, 32)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).flatten(1, 2).transpose(1, 2)
        return self.head(self.lstm(x[..., :64])[0])


class PreActivation(nn.Module):
    """Norm and activation stand in front of the convolution, and the sum goes on as it is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)),
            *(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Residual(nn.Module):
    """A residual block with the activation of one's choice behind each convolution."""

    def __init__(self, channels: int, act: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), act())
        self.b = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), act())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(self.a(x))


class RepVGG(nn.Module):
    """Three branches and a sum, as it is trained."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        )
        self.narrow = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))
        self.bare = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.wide(x) + self.narrow(x) + self.bare(x))


class Up(nn.Module):
    """A U of transposed convolutions, with a Concat at each height."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU())
        self.b = nn.Sequential(nn.Conv2d(32, 64, 3, 2, 1), nn.BatchNorm2d(64), nn.ReLU())
        self.up = nn.Sequential(
            nn.ConvTranspose2d(64, 32, 3, 2, 1, output_padding=1), nn.BatchNorm2d(32), nn.ReLU()
        )
        self.head = nn.Conv2d(64, 32, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.a(x)
        return self.head(torch.cat([self.up(self.b(fine)), fine], 1))


def chain(*parts: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), *parts, nn.Conv2d(32, 32, 1))


def of(name: str, make: Callable[[], nn.Module], shapes: Shapes = MAP) -> Architecture:
    return Architecture(name, "blocks", make, shapes, dynamic=True)


ARCHITECTURES = (
    of("temporal", Temporal, ((2, 16, 64),)),
    of("recurrent", Recurrent),
    of("pre_activation", lambda: chain(PreActivation(32), PreActivation(32))),
    of("silu_residual", lambda: chain(Residual(32, nn.SiLU), Residual(32, nn.SiLU))),
    of("prelu_residual", lambda: chain(Residual(32, nn.PReLU), Residual(32, nn.PReLU))),
    of("leaky_relu_residual", lambda: chain(Residual(32, nn.LeakyReLU))),
    of("hardswish_residual", lambda: chain(Residual(32, nn.Hardswish))),
    of("repvgg_trained", lambda: chain(RepVGG(32), RepVGG(32))),
    of("u_transposed", Up),
)
