"""Small ONNX graphs with Q/DQ, written out by hand, for the tests of `sparqc build`."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Net:
    """Collects nodes and initializers; every method returns the name of the value it makes."""

    def __init__(self, dims=("batch", 16, 8, 8), dtype=TensorProto.FLOAT):
        self.inputs = [helper.make_tensor_value_info("x", dtype, dims)]
        self.nodes = []
        self.constants = {"scale": np.float32(0.05), "zero": np.int8(0)}

    def constant(self, name, value):
        self.constants[name] = np.asarray(value)
        return name

    def op(self, kind, *inputs, name=None, **attributes):
        out = f"{kind.lower()}_{len(self.nodes)}"
        name = out if name is None else name
        self.nodes.append(helper.make_node(kind, inputs, [out], name=name, **attributes))
        return out

    def qdq(self, value, zero="zero"):
        """A per-tensor Q and DQ."""
        codes = self.op("QuantizeLinear", value, "scale", zero)
        return self.op("DequantizeLinear", codes, "scale", zero)

    def weight(self, name, shape, axis=0):
        """An INT8 weight behind a per-channel DQ."""
        codes = np.random.default_rng(0).integers(-127, 128, shape).astype(np.int8)
        scales = self.constant(f"{name}_scale", np.full(shape[axis], 0.01, np.float32))
        zeros = self.constant(f"{name}_zero", np.zeros(shape[axis], np.int8))
        return self.op("DequantizeLinear", self.constant(name, codes), scales, zeros, axis=axis)

    def conv(self, value, name, channels=(16, 16), axis=0):
        """A quantized 3x3 convolution with its bias."""
        bias = self.constant(f"{name}_bias", np.zeros(channels[0], np.float32))
        weight = self.weight(f"{name}_w", (*channels, 3, 3), axis)
        return self.op("Conv", self.qdq(value), weight, bias, name=name, pads=[1] * 4)

    def model(self, *outputs, opset=20):
        values = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
        constants = [numpy_helper.from_array(v, k) for k, v in self.constants.items()]
        graph = helper.make_graph(self.nodes, "net", self.inputs, values, constants)
        opsets = [helper.make_opsetid("", opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def quantized_conv(dims=("batch", 16, 8, 8)) -> onnx.ModelProto:
    net = Net(dims)
    return net.model(net.conv("x", "conv"))


def float_conv() -> onnx.ModelProto:
    net = Net()
    weight = net.constant("w", np.ones((16, 16, 3, 3), np.float32))
    return net.model(net.op("Conv", "x", weight, name="conv"))


def residual_block(quantize_skip: bool) -> onnx.ModelProto:
    """Two convolutions around a skip connection, and a third one that reads their sum."""
    net = Net(("batch", 64, 16, 16))
    first = net.op("Relu", net.conv("x", "conv1", (64, 64)))
    second = net.conv(first, "conv2", (64, 64))
    skip = net.qdq(first) if quantize_skip else first
    total = net.op("Relu", net.op("Add", second, skip))
    return net.model(net.conv(total, "conv3", (64, 64)))


def two_four(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with weights (`*_w`) of which every second input channel is 0."""
    sparse = onnx.ModelProto()
    sparse.CopyFrom(model)
    for tensor in sparse.graph.initializer:
        if tensor.name.endswith("_w"):
            codes = numpy_helper.to_array(tensor).copy()
            codes[:, ::2] = 0
            tensor.CopyFrom(numpy_helper.from_array(codes, tensor.name))
    return sparse


def quantized_matmul(axis: int) -> onnx.ModelProto:
    """A MatMul whose weight has scales along `axis`; only the last one is an INT8 GEMM."""
    net = Net(("batch", 64))
    weight = net.weight("w", (64, 32), axis)
    return net.model(net.op("MatMul", net.qdq("x"), weight, name="matmul"))
