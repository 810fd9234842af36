"""The ONNX graphs of networks whose engines were timed in public: ResNet-18 and 34, and a UNet.

Weights are constant numbers, half of them zeros where they are to be 2:4: only sizes, types and
places of quantizers count.  Where a graph is quantized, each convolution and the classifier read
INT8 data and INT8 weights, and all tensors have one scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RESNET18, RESNET34 = (2, 2, 2, 2), (3, 4, 6, 3)
#: Channels of the encoder's features, from the image on, and of the decoder's blocks.
ENCODER, DECODER = (3, 64, 64, 128, 256, 512), (256, 128, 64, 32, 16)


@dataclass(frozen=True)
class Quantizers:
    """Which tensors are quantized beside the data and the weight of each convolution."""

    residuals: bool = True
    pool: bool = True


class Net:
    """Nodes and initializers of one graph; every method returns the name of the value it makes."""

    def __init__(self, size: int, quantizers: Quantizers | None, sparse: bool) -> None:
        self.quantizers, self.sparse = quantizers, sparse
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.codes: dict[str, str] = {}
        shape = ["batch", 3, size, size]
        self.image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)

    def constant(self, array: np.ndarray) -> str:
        """An initializer."""
        self.constants.append(numpy_helper.from_array(array, f"constant_{len(self.constants)}"))
        return self.constants[-1].name

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """A node with one output."""
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def quantized(self, x: str) -> str:
        """The value behind a DQ of its own; one Q a tensor."""
        if self.quantizers is None:
            return x
        scale, zero = self.constant(np.float32(0.01)), self.constant(np.int8(0))
        if x not in self.codes:
            self.codes[x] = self.op("QuantizeLinear", x, scale, zero)
        return self.op("DequantizeLinear", self.codes[x], scale, zero)

    def weight(self, *shape: int) -> str:
        """INT8 codes behind a DQ per output channel, or floats."""
        codes = np.ones(shape, np.int8)
        if self.sparse:
            codes[:, 1::2] = 0
        if self.quantizers is None:
            return self.constant(codes.astype(np.float32))
        scale = self.constant(np.full(shape[0], 0.01, np.float32))
        zero = self.constant(np.zeros(shape[0], np.int8))
        return self.op("DequantizeLinear", self.constant(codes), scale, zero, axis=0)

    def conv(self, x: str, shape: tuple[int, int, int, int], stride: int = 1) -> str:
        """A convolution with a bias that keeps the size of the image, but for the stride."""
        bias = self.constant(np.zeros(shape[0], np.float32))
        operands = [self.quantized(x), self.weight(*shape), bias]
        return self.op("Conv", *operands, strides=[stride] * 2, pads=[shape[2] // 2] * 4)

    def conv_relu(self, x: str, shape: tuple[int, int, int, int], stride: int = 1) -> str:
        """The same and a ReLU."""
        return self.op("Relu", self.conv(x, shape, stride))

    def block(self, x: str, inputs: int, outputs: int, stride: int) -> str:
        """A BasicBlock (He et al. 2016): two 3x3 convolutions and a skip."""
        y = self.conv_relu(x, (outputs, inputs, 3, 3), stride)
        y = self.conv(y, (outputs, outputs, 3, 3))
        skip = x if stride == 1 else self.conv(x, (outputs, inputs, 1, 1), stride)
        if self.quantizers is not None and self.quantizers.residuals:
            skip = self.quantized(skip)
        return self.op("Relu", self.op("Add", y, skip))

    def resnet_features(self, blocks: Sequence[int]) -> list[str]:
        """The image and what each stage of a ResNet gives, from the largest on."""
        found = ["image", self.conv_relu("image", (64, 3, 7, 7), 2)]
        y = self.op("MaxPool", found[-1], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        inputs = 64
        for stage, count in enumerate(blocks):
            for index in range(count):
                outputs = 64 << stage
                y = self.block(y, inputs, outputs, 1 + (stage > 0 and index == 0))
                inputs = outputs
            found.append(y)
        return found

    def model(self, result: str, shape: Sequence[int]) -> onnx.ModelProto:
        """The whole, for a batch of any size."""
        value = helper.make_tensor_value_info(result, TensorProto.FLOAT, ["batch", *shape])
        graph = helper.make_graph(self.nodes, "net", [self.image], [value], self.constants)
        opsets = [helper.make_opsetid("", 13)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def resnet(
    blocks: Sequence[int], quantizers: Quantizers | None = None, *, sparse: bool = False
) -> onnx.ModelProto:
    """A ResNet of BasicBlocks for images of 224x224, in float where `quantizers` is None."""
    net = Net(224, quantizers, sparse)
    y = net.resnet_features(blocks)[-1]
    if quantizers is not None and quantizers.pool:
        y = net.quantized(y)
    y = net.op("Flatten", net.op("GlobalAveragePool", y))
    bias = net.constant(np.zeros(1000, np.float32))
    y = net.op("Gemm", net.quantized(y), net.weight(1000, 512), bias, transB=1)
    return net.model(y, [1000])


def unet(quantizers: Quantizers | None = None, *, sparse: bool = False) -> onnx.ModelProto:
    """`smp.Unet("resnet34")` of segmentation_models_pytorch, for images of 256x256, with one class.

    Each block of the decoder doubles the height and the width, takes in the encoder's features of
    that size, and has two 3x3 convolutions.
    """
    net = Net(256, quantizers, sparse)
    features = net.resnet_features(RESNET34)
    y, inputs = features[-1], ENCODER[-1]
    scales = net.constant(np.array([1, 1, 2, 2], np.float32))
    for depth, outputs in enumerate(DECODER):
        y = net.op("Resize", y, "", scales, mode="nearest", nearest_mode="floor",
                   coordinate_transformation_mode="asymmetric")  # fmt: skip
        if depth + 1 < len(DECODER):
            y = net.op("Concat", y, features[-2 - depth], axis=1)
            inputs += ENCODER[-2 - depth]
        y = net.conv_relu(y, (outputs, inputs, 3, 3))
        y = net.conv_relu(y, (outputs, outputs, 3, 3))
        inputs = outputs
    y = net.conv(y, (1, inputs, 3, 3))
    return net.model(y, [1, 256, 256])
