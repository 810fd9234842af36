"""Networks in which a Concat ties a quiet branch to a loud one."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

import sparqc

RUN = ort.InferenceSession


class Two(nn.Module):
    """A branch that is read by a convolution of its own, and with a louder one by a Concat."""

    def __init__(self, ratio: float, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.quiet, self.loud = (nn.Conv2d(32, 32, 3, padding=1) for _ in range(2))
        self.own, self.joined = nn.Conv2d(32, 32, 3, padding=1), nn.Conv2d(64, 32, 1)
        with torch.no_grad():
            self.loud.weight.mul_(ratio)
            self.loud.bias.mul_(ratio)
            self.joined.weight[:, 32:].div_(ratio)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x).relu()
        quiet = self.quiet(x).relu()
        joined = torch.cat([quiet, self.loud(x).relu()], 1)
        return self.own(quiet), self.joined(joined)


class Shared(nn.Module):
    """What two Concats read, of which one is loud: it ties them to each other."""

    def __init__(self, ratio: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.a, self.b = (nn.Conv2d(32, 32, 3, padding=1) for _ in range(3))
        self.quiet, self.loud = nn.Conv2d(64, 32, 1), nn.Conv2d(64, 32, 1)
        with torch.no_grad():
            self.b.weight.mul_(ratio)
            self.loud.weight[:, 32:].div_(ratio)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        both = self.stem(x).relu()
        quiet = torch.cat([both, self.a(x).relu()], 1)
        loud = torch.cat([both, self.b(x).relu()], 1)
        return self.quiet(quiet).relu(), self.loud(loud).relu()


def images(count: int, size: int = 32, channels: int = 3, seed: int = 1) -> list[tuple[Tensor]]:
    made = torch.Generator().manual_seed(seed)
    return [(torch.randn(size, channels, 16, 16, generator=made),) for _ in range(count)]


def compiled(net: nn.Module, passes: str, road: str = "fx", **options: object) -> sparqc.Compiled:
    """The network through the passes, as a module or as the ONNX file of it."""
    channels = net.stem.in_channels  # type: ignore[union-attr]
    x, calibration = images(1, 4, channels)[0], images(2, channels=channels)  # type: ignore[arg-type]
    if road == "fx":
        return sparqc.compile(net.eval(), x, calibration=calibration, passes=passes, **options)  # type: ignore[arg-type]
    model = sparqc.compile(net.eval(), x, passes="float").model
    return sparqc.compile(model, calibration=calibration, passes=passes, **options)  # type: ignore[arg-type]


def outputs(model: onnx.ModelProto, x: Tensor) -> list[np.ndarray]:
    name = model.graph.input[0].name
    return RUN(model.SerializeToString()).run(None, {name: x.numpy()})  # type: ignore[no-any-return]


def decibels(net: nn.Module, model: onnx.ModelProto) -> list[float]:
    """The signal-to-noise ratio of each output on images of their own."""
    (x,) = images(1, channels=net.stem.in_channels, seed=2)[0]  # type: ignore[union-attr, arg-type]
    with torch.no_grad():
        wanted = [y.numpy().astype(np.float64) for y in net(x)]
    pairs = zip(wanted, outputs(model, x), strict=True)
    return [float(10 * np.log10((w**2).sum() / ((w - y) ** 2).sum())) for w, y in pairs]
