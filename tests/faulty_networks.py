"""Small Q/DQ networks of 16 channels, each with one fault that `sparqc check --fix` cures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from sparqc.ir.graph import Array
from tests import small_models

#: The activations' scale in these networks, and a coarser one.
FINE, COARSE = 0.03, 0.05


class Network:
    """Builds a Q/DQ network of 16 channels, node by node; the faults are in how it is used."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}

    def constant(self, array: Array, name: str = "") -> str:
        name = name or f"k{len(self.constants)}"
        self.constants[name] = array
        return name

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        out = out or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [out], f"node_{out}", **attributes))
        return out

    def quantize(self, x: str, scale: float = FINE, dtype: Any = np.int8, zero: int = 0) -> str:
        given = self.parameters(scale, dtype, zero)
        return self.op("QuantizeLinear", x, *given)

    def dequantize(self, q: str, scale: float = FINE, dtype: Any = np.int8, zero: int = 0) -> str:
        return self.op("DequantizeLinear", q, *self.parameters(scale, dtype, zero))

    def parameters(self, scale: float, dtype: Any, zero: int) -> tuple[str, str]:
        return self.constant(np.array(scale, np.float32)), self.constant(np.array(zero, dtype))

    def pair(self, x: str, scale: float = FINE) -> str:
        return self.dequantize(self.quantize(x, scale), scale)

    def weight(self, codes: str = "", axis: int | None = 0, dtype: Any = np.int8) -> str:
        zero = 128 if dtype is np.uint8 else 0
        if not codes:
            random = self.rng.integers(-127, 128, (16, 16, 1, 1)) + zero
            codes = self.constant(random.astype(dtype))
        scales = self.constant(self.rng.uniform(0.5e-3, 1e-3, 16).astype(np.float32))
        zeros = self.constant(np.full(16, zero, dtype))
        given = {} if axis is None else {"axis": axis}
        return self.op("DequantizeLinear", codes, scales, zeros, **given)

    def conv(self, x: str, w: str = "", *bias: str) -> str:
        return self.op("Conv", x, w or self.weight(), *bias)

    def save(self, path: Path, value: str) -> Path:
        self.op("Identity", value, out="y")
        return small_models.save(path, self.nodes, self.constants)


def pair_inside(n: Network) -> str:
    return n.op("Relu", n.pair(n.conv(n.pair("x"))))


def unequal_concat(n: Network) -> str:
    a, b = n.conv(n.pair("x")), n.conv(n.pair("x"))
    joined = n.op("Concat", n.pair(a, FINE), n.pair(b, COARSE), axis=1)
    first, second = n.constant(np.array([0])), n.constant(np.array([16]))
    half = n.op("Slice", joined, first, second, n.constant(np.array([1])))
    return n.conv(n.pair(half, COARSE))


def requantized(n: Network) -> str:
    return n.conv(n.pair(n.pair("x", FINE), COARSE))


def missing_axis(n: Network) -> str:
    return n.conv(n.pair("x"), n.weight(axis=None))


def shared_weight(n: Network) -> str:
    codes = n.constant(n.rng.integers(-127, 128, (16, 16, 1, 1)).astype(np.int8))
    first = n.op("Relu", n.conv(n.pair("x"), n.weight(codes)))
    return n.conv(n.pair(first), n.weight(codes))


def quantized_bias(n: Network) -> str:
    codes = n.constant(n.rng.integers(-9999, 9999, 16).astype(np.int32))
    scales = n.constant(n.rng.uniform(1e-5, 2e-5, 16).astype(np.float32))
    return n.conv(n.pair("x"), n.weight(), n.op("DequantizeLinear", codes, scales, axis=0))


def uint8(n: Network) -> str:
    codes = n.quantize("x", dtype=np.uint8, zero=128)
    data = [n.dequantize(codes, dtype=np.uint8, zero=128) for _ in range(2)]
    a, b = (n.conv(d, n.weight(dtype=np.uint8)) for d in data)
    return n.op("Add", a, b)


def several_scales(n: Network) -> str:
    return n.op("Add", n.conv(n.pair("x", FINE)), n.conv(n.pair("x", COARSE)))


def shared_dequantize(n: Network) -> str:
    data = n.pair("x")
    return n.op("Add", n.conv(data), n.conv(data))


def transposed_weight(n: Network) -> str:
    turned = n.op("Transpose", n.weight(), perm=[1, 0, 2, 3])
    return n.conv(n.pair("x"), turned)


def transposed_data(n: Network) -> str:
    return n.conv(n.op("Transpose", n.pair("x"), perm=[0, 1, 3, 2]))


def moved_between_scales(n: Network) -> str:
    pooled = n.op("MaxPool", n.pair("x"), kernel_shape=[3, 3], pads=[1] * 4)
    return n.conv(n.pair(pooled, COARSE))


def float_readers(n: Network) -> str:
    return n.op("Softmax", n.pair(n.conv(n.pair("x"))), axis=1)


EXACT = {
    "missing-axis": missing_axis, "shared-weight": shared_weight, "quantized-bias": quantized_bias,
    "uint8-activation": uint8, "uint8-weight": uint8, "shared-dequantize": shared_dequantize,
    "moved-after-dequantize": transposed_data,
}  # fmt: skip
ROUNDED = {
    "pair-inside-kernel": pair_inside, "concat-scales-differ": unequal_concat,
    "requantized": requantized, "several-scales": several_scales,
    "move-scale-differs": moved_between_scales, "float-readers": float_readers,
}  # fmt: skip


def model_of(path: Path, id: str, seed: int = 0) -> Path:
    network = Network(seed)
    return network.save(path, {**EXACT, **ROUNDED}[id](network))
