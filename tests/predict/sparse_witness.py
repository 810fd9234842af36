"""Which layers of a real engine ran sparse: 36 convolutions, each in INT8 and in FP16.

The witnesses `unet-resnet34-int8` and `unet-resnet34-fp16`, layer by layer.
"""

from dataclasses import dataclass
from math import isqrt

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from sparqc.job.open import new_job
from sparqc.job.options import Options
from sparqc.predict.predict import predict_graph
from sparqc.predict.witness import SeenKernel
from sparqc.predict.witnesses import witness

INT8, FP16 = witness("unet-resnet34-int8"), witness("unet-resnet34-fp16")
BATCH = INT8.head.batch

#: K, C, kernel, stride, side of the output, and whether it adds a skip connection.
Shape = tuple[int, int, int, int, int, bool]
#: The layers that FP16 ran sparse though memory is all that they wait for: they gained 2 us.
GAINED_2_US: set[Shape] = {(256, 128, 1, 2, 16, True), (512, 256, 1, 2, 8, True)}


@dataclass(frozen=True)
class Layer:
    """A convolution of both engines: what the choice may depend on, and which ran sparse."""

    shape: Shape
    int8_sparse: bool
    fp16_sparse: bool


def _shape(seen: SeenKernel) -> Shape:
    side = isqrt(seen.rows // BATCH)
    return seen.k, seen.c, seen.kernel[0], seen.stride[0], side, seen.sizes.adds


def _layer(int8: SeenKernel, fp16: SeenKernel) -> Layer:
    assert int8.sizes == fp16.sizes
    return Layer(_shape(int8), int8.sparse is True, fp16.sparse is True)


LAYERS = tuple(map(_layer, INT8.kernels, FP16.kernels))

SHAPES = tuple(dict.fromkeys(layer.shape for layer in LAYERS))


def engine_of(dtype, shapes=SHAPES, batch=BATCH, knobs=()):
    """A graph of convolutions side by side, in INT8 (Q/DQ) or in FP16."""
    net = _Layers(dtype, batch)
    for shape in shapes:
        net.convolution(*shape)
    job = new_job(net.model(), options=Options(passes="", knobs=knobs))
    return {
        row.value.removesuffix(".c"): row for row in predict_graph(job.graph, job.context).ledger
    }


class _Layers:
    def __init__(self, dtype, batch):
        self.int8, self.batch = dtype == "int8", batch
        self.type = TensorProto.FLOAT if self.int8 else TensorProto.FLOAT16
        self.nodes, self.inputs, self.outputs = [], [], []
        self.constants = {"scale": np.float32(0.05), "zero": np.int8(0)}

    def op(self, kind, inputs, out, name="", **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [out], name=name, **attributes))
        return out

    def input(self, name, channels, side):
        shape = (self.batch, channels, side, side)
        self.inputs.append(helper.make_tensor_value_info(name, self.type, shape))
        return self.coded(name)

    def coded(self, value):
        if not self.int8:
            return value
        codes = self.op("QuantizeLinear", [value, "scale", "zero"], f"{value}.q")
        return self.op("DequantizeLinear", [codes, "scale", "zero"], f"{value}.dq")

    def convolution(self, k, c, kernel, stride, side, adds):
        name = name_of((k, c, kernel, stride, side, adds))
        x = self.input(f"{name}.x", c, side * stride)
        w = f"{name}.w"
        self.constants[w] = np.zeros((k, c, kernel, kernel), np.int8 if self.int8 else np.float16)
        if self.int8:
            w = self.op("DequantizeLinear", [w, "scale", "zero"], f"{name}.wdq")
        y = self.op("Conv", [x, w], f"{name}.c", name, strides=[stride] * 2,
                    pads=[kernel // 2] * 4)  # fmt: skip
        if adds:
            y = self.op("Add", [y, self.input(f"{name}.r", k, side)], f"{name}.s")
        y = self.coded(self.op("Relu", [y], f"{name}.y"))
        self.outputs.append(helper.make_tensor_value_info(y, self.type, None))

    def model(self):
        constants = [numpy_helper.from_array(np.asarray(v), k) for k, v in self.constants.items()]
        graph = helper.make_graph(self.nodes, "g", self.inputs, self.outputs, constants)
        opsets = [helper.make_opsetid("", 20)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def name_of(shape):
    return "_".join(map(str, shape))


def verdicts(dtype, knobs=()):
    """Of each layer whether it is said to pay."""
    rows = engine_of(dtype, knobs=knobs)
    said = [rows[name_of(layer.shape)] for layer in LAYERS]
    return [row.size_rule.holds and row.pays.holds for row in said]
