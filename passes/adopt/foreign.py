"""The quantizers of other tools, in every spelling that a graph may hold them in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sparqc.errors import SparqcError
from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Array, Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.ir.quantizers import DEQUANTIZE, FAKE_QUANTIZE, QUANTIZE
from sparqc.ir.vocabulary.table import default_table


def _decomposed(verb: str) -> tuple[str, ...]:
    """The spellings of PT2E, torch's own quantizer."""
    kinds = ("tensor.default", "tensor.tensor", "channel.default")
    return tuple(f"quantized_decomposed.{verb}_per_{kind}" for kind in kinds)


def _onnx(name: str) -> tuple[str, ...]:
    return f"onnx.{name}", f"onnx.com.microsoft.{name}"


#: Floats in, floats out.
FAKE = frozenset({
    FAKE_QUANTIZE, "aten.fake_quantize_per_tensor_affine.default",
    "aten.fake_quantize_per_tensor_affine.tensor_qparams",
    "aten.fake_quantize_per_channel_affine.default",
})  # fmt: skip
#: Floats in, codes out.
TO_CODES = frozenset({QUANTIZE, *_onnx("QuantizeLinear"), *_decomposed("quantize")})
#: Codes in, floats out.
FROM_CODES = frozenset({DEQUANTIZE, *_onnx("DequantizeLinear"), *_decomposed("dequantize")})
ANY = FAKE | TO_CODES | FROM_CODES
#: Arithmetic on codes: the sums of the float model cannot be read off it.
INTEGER = (
    "onnx.QLinear", "onnx.ConvInteger", "onnx.MatMulInteger", "onnx.DynamicQuantizeLinear",
    "onnx.com.microsoft.QLinear", "onnx.com.microsoft.DynamicQuantize",
    "onnx.com.microsoft.MatMulNBits", "onnx.com.microsoft.QAttention", "onnx.com.microsoft.QGemm",
    "quantized.", "quantized_decomposed.choose_qparams", "quantized_decomposed.quantize_per_token",
    "onnx.trt.",
)  # fmt: skip
#: The integers of each element type, where its width is 8 bits or what other tools call 8 bits.
_LIMITS = {
    "i8": (-128, 127), "u8": (0, 255), "i16": (-(1 << 15), (1 << 15) - 1),
    "uint16": (0, (1 << 16) - 1), "i32": (-(1 << 31), (1 << 31) - 1),
    "int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3),
}  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """What the codes of one quantizer stand for: (code - zero_point) * scale."""

    scale: NDArray[np.float64]  # a scalar, or one for each index of the axis
    zero_point: NDArray[np.int64]
    axis: int | None
    low: int
    high: int
    #: Of codes that are no integers, or come in blocks: their name.
    other: str = ""

    @property
    def is_symmetric(self) -> bool:
        """Whether zero is the middle code, as symmetric INT8 has it."""
        return not self.zero_point.any() and self.low in (-self.high, -self.high - 1)

    @property
    def amax(self) -> NDArray[np.float64]:
        """The largest magnitude that a code stands for; -128 counts as -127 where 0 is 0."""
        if self.is_symmetric:
            return self.high * self.scale
        below, above = np.abs(self.low - self.zero_point), np.abs(self.high - self.zero_point)
        return np.asarray(np.maximum(below, above) * self.scale, np.float64)

    @property
    def refusal(self) -> str:
        """Why its range is of no use for INT8; "" where it is."""
        if self.other:
            return f"it is {self.other}, not INT8"
        count = self.high - self.low + 1
        # 7 bits: some kernels leave a bit unused so that sums do not overflow.
        return "" if 127 <= count <= 256 else f"it has {count} codes, not the 256 of INT8"

    @property
    def conversion(self) -> str:
        """What is changed to make it symmetric INT8; "" where nothing is."""
        if self.is_symmetric:
            return ""
        if self.low == 0 and not self.zero_point.any():
            return "unsigned: half of its codes are lost"
        return "asymmetric: the range became symmetric"

    def agrees(self, other: Grid) -> bool:
        """Whether codes mean the same to both."""
        return bool(
            self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )


def data_of(node: Node) -> Value:
    """What a quantizer quantizes, or a dequantizer dequantizes."""
    for slot in ("x", "input", "self"):
        if slot in node.operands:
            return cast(Value, node.operands[slot])
    return next(node.inputs)


def grid_of(node: Node) -> Grid:
    """The codes of a quantizer of any spelling; its scale is NaN where it was never calibrated.

    Raises SparqcError where scale or zero point are computed by the model.
    """
    scale = _parameter(node, "scale", "scales", "y_scale", "x_scale")
    zero = _parameter(node, "zero_point", "zero_points", "y_zero_point", "x_zero_point")
    assert scale is not None
    other, low, high = _limits(node)
    axis = _axis(node, scale)
    if node.attributes.get("block_size") or scale.ndim > 1:
        other = other or "quantized in blocks"
    points = np.zeros(scale.shape) if zero is None else zero
    try:
        integers = points.astype(np.int64)
    except (TypeError, ValueError):
        integers = np.zeros(scale.shape, np.int64)
    if axis is None:
        scale, integers = scale.reshape(-1)[:1].reshape(()), integers.reshape(-1)[:1].reshape(())
    return Grid(scale.astype(np.float64), integers, axis, low, high, other)


def _parameter(node: Node, *names: str) -> Array | None:
    for name in names:
        operand = node.operands.get(name)
        if isinstance(operand, Value):
            data = constant_value(operand, default_table())
            if data is None:
                raise SparqcError(
                    f"{name_of(node)}: the {name.replace('_', ' ')} of this quantizer is "
                    "computed while the model runs",
                    hint="INT8 wants constant scales: quantize the model statically",
                )
            return data
        attribute = node.attributes.get(name)
        if isinstance(attribute, int | float):
            return np.asarray(attribute)
    return None


def _axis(node: Node, scale: Array) -> int | None:
    axis = node.attributes.get("axis")
    if scale.size == 1 or not isinstance(axis, int):
        return None
    return axis % max(1, data_of(node).type.rank or axis + 1)


def _limits(node: Node) -> tuple[str, int, int]:
    """The name of the codes where they are no integers, and the lowest and highest code."""
    for low, high in (("low", "high"), ("quant_min", "quant_max")):
        if low in node.attributes:
            return "", cast(int, node.attributes[low]), cast(int, node.attributes[high])
    dtype = _codes_type(node)
    if dtype in _LIMITS:
        return "", *_LIMITS[dtype]
    return dtype, 0, 0


def _codes_type(node: Node) -> str:
    if node.op in FROM_CODES:
        return data_of(node).type.dtype
    to = node.attributes.get("to")
    return to if isinstance(to, str) else node.output.type.dtype
