"""The graphs behind three public engines, with the names that their listings show.

Structure, sizes and names are those of pytorch-quantization's exports (opset 13, BatchNorm
unfolded, weights as floats in front of Q/DQ); the numbers are made up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx

from tests.engine_models import Net

#: Outputs, inputs of a group, height and width.
Weight = tuple[int, int, int, int]


@dataclass
class Export:
    """Nodes numbered as the exporter numbered them, constants among them."""

    net: Net
    #: What the Q of a weight, and the DQ behind it, lie behind the node before.
    of_weight: tuple[int, int]
    last: int = -1
    scales: dict[str, str] = field(default_factory=dict)

    def node(self, kind: str, *inputs: str, step: int = 1, **attributes: object) -> str:
        self.last += step
        return self.net.op(kind, *inputs, name=f"{kind}_{self.last}", **attributes)

    def qdq(self, value: str) -> str:
        """A pair with the one scale that a tensor has."""
        number = len(self.scales)
        scale = self.scales.setdefault(value, f"scale_{number}")
        self.net.constant(scale, np.float32(0.01 + 1e-4 * list(self.scales).index(value)))
        codes = self.node("QuantizeLinear", value, scale, "zero", step=3)
        return self.node("DequantizeLinear", codes, scale, "zero", step=3)

    def weight(self, module: str, shape: tuple[int, ...]) -> str:
        weight = self.net.constant(f"{module}.weight", np.full(shape, 0.05, np.float32))
        operands = (
            self.net.constant(f"{module}.scale", np.full(shape[0], 0.05 / 127, np.float32)),
            self.net.constant(f"{module}.zero", np.zeros(shape[0], np.int8)),
        )
        q, dq = self.of_weight
        codes = self.node("QuantizeLinear", weight, *operands, step=q, axis=0)
        return self.node("DequantizeLinear", codes, *operands, step=dq, axis=0)

    def conv(self, x: str, module: str, shape: Weight, stride: int = 1, group: int = 1) -> str:
        """A convolution, its quantizers, and the BatchNorm behind it."""
        kernel = shape[2:]
        y = self.node(
            "Conv", self.qdq(x), self.weight(module, shape), kernel_shape=kernel,
            strides=[stride] * 2, pads=[kernel[0] // 2] * 4, group=group,
        )  # fmt: skip
        one = self.net.constant(f"ones_{shape[0]}", np.ones(shape[0], np.float32))
        zero = self.net.constant(f"zeros_{shape[0]}", np.zeros(shape[0], np.float32))
        return self.node("BatchNormalization", y, one, zero, zero, one)

    def classifier(self, x: str, module: str, channels: int, flatten: int) -> onnx.ModelProto:
        y = self.node("Flatten", self.node("GlobalAveragePool", x), step=flatten)
        weight = self.qdq(y), self.weight(module, (1000, channels))
        bias = self.net.constant(f"{module}.bias", np.zeros(1000, np.float32))
        return self.net.model(self.node("Gemm", *weight, bias, transB=1), opset=13)


def resnet18(batch: int) -> onnx.ModelProto:
    """ResNet-18 without quantizers on its skips."""
    to = Export(Net((batch, 3, 224, 224)), (2, 1))
    y = to.node("Relu", to.conv("x", "conv1", (64, 3, 7, 7), 2))
    y = to.node("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    before = 64
    for layer, channels in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            name, stride = f"layer{layer}.{block}", 2 if before != channels else 1
            z = to.node("Relu", to.conv(y, f"{name}.conv1", (channels, before, 3, 3), stride))
            z = to.conv(z, f"{name}.conv2", (channels, channels, 3, 3))
            if stride == 2:
                y = to.conv(y, f"{name}.downsample.0", (channels, before, 1, 1), stride)
            y, before = to.node("Relu", to.node("Add", z, y)), channels
    return to.classifier(y, "fc", 512, 1)


#: Expansion, output channels, repeats and stride of the first repeat.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
           (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip


def mobilenet_v2(residuals: bool) -> onnx.ModelProto:
    """MobileNetV2, with or without quantizers on its skips."""
    to = Export(Net((1, 3, 224, 224)), (2, 1) if residuals else (3, 3))
    low, high = (to.net.constant(f"limit_{n}", np.float32(n)) for n in (0, 6))

    def clipped(x: str) -> str:
        return to.node("Clip", x, low, high, step=3)

    y, before, number = clipped(to.conv("x", "features.0.0", (32, 3, 3, 3), 2)), 32, 1
    for factor, channels, repeats, first in _STAGES:
        for repeat in range(repeats):
            name, stride = f"features.{number}.conv", 1 if repeat else first
            wide, z, part = before * factor, y, 0
            skip = to.qdq(y) if residuals and before == channels and stride == 1 else y
            if factor > 1:
                z, part = clipped(to.conv(z, f"{name}.0.0", (wide, before, 1, 1))), 1
            z = clipped(to.conv(z, f"{name}.{part}.0", (wide, 1, 3, 3), stride, wide))
            z = to.conv(z, f"{name}.{part + 1}", (channels, wide, 1, 1))
            y = to.node("Add", skip, z) if before == channels and stride == 1 else z
            before, number = channels, number + 1
    y = clipped(to.conv(y, "features.18.0", (1280, 320, 1, 1)))
    return to.classifier(y, "classifier.1", 1280, 7 if residuals else 8)
