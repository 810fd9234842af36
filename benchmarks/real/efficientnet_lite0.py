"""EfficientNet-Lite0 with its ImageNet weights, as `sparqc compile` wants to see it.

python benchmarks/real/fetch.py
sparqc compile benchmarks/real/efficientnet_lite0.py -o efficientnet_lite0.onnx
"""

import torch
from folder import fetched
from on_photographs import OnPhotographs
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

#: Output channels, kernel, stride, expansion and number of the blocks.
#: https://github.com/tensorflow/tpu, models/official/efficientnet/lite
BLOCKS = (
    (16, 3, 1, 1, 1),
    (24, 3, 2, 6, 2),
    (40, 5, 2, 6, 2),
    (80, 3, 2, 6, 3),
    (112, 5, 1, 6, 3),
    (192, 5, 2, 6, 4),
    (320, 3, 1, 6, 1),
)
EPSILON = 1e-3


def normalize(pixels: Tensor) -> Tensor:
    """Turn uint8 RGB images `[N, 3, H, W]` into the network's input."""
    return (pixels.float() - 127) / 128


def layer(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
    """A convolution with TensorFlow's padding "SAME" of an even size, and its BatchNorm."""
    both = kernel - stride
    pad = nn.ZeroPad2d((both // 2, both - both // 2) * 2) if stride > 1 else nn.Identity()
    padding = kernel // 2 if stride == 1 else 0
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    return nn.Sequential(pad, conv, nn.BatchNorm2d(outputs, eps=EPSILON))


class Block(nn.Module):
    """An inverted residual."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, factor: int) -> None:
        super().__init__()
        inner = inputs * factor
        wide = [layer(inputs, inner, 1, 1), nn.ReLU6()] if factor > 1 else []
        self.body = nn.Sequential(
            *wide,
            layer(inner, inner, kernel, stride, groups=inner),
            nn.ReLU6(),
            layer(inner, outputs, 1, 1),
        )
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] to [N, K, H / stride, W / stride]."""
        y: Tensor = self.body(x)
        return x + y if self.skips else y


class Head(nn.Module):
    """The classifier behind the global pool."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] to [N, classes]."""
        found: Tensor = self.linear(adaptive_avg_pool2d(x, 1).flatten(1))
        return found


def network() -> nn.Sequential:
    """The network, its tensors in the order of the file."""
    blocks, channels = [], 32
    for outputs, kernel, stride, factor, count in BLOCKS:
        for number in range(count):
            blocks.append(Block(channels, outputs, kernel, stride if not number else 1, factor))
            channels = outputs
    return nn.Sequential(
        layer(3, 32, 3, 2),
        nn.ReLU6(),
        *blocks,
        layer(channels, 1280, 1, 1),
        nn.ReLU6(),
        Head(1280, 1000),
    )


def model() -> nn.Module:
    """The trained network, ready for inference."""
    (file,) = fetched("efficientnet_lite0").glob("*.pth")
    trained, net = torch.load(file, weights_only=True), network()
    net.load_state_dict(dict(zip(net.state_dict(), trained.values(), strict=True)))
    return net.eval()


data = OnPhotographs(model, normalize)
example_inputs, calibration = data.example_inputs, data.calibration
evaluated, evaluate = data.evaluated, data.evaluate
