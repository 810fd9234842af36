"""Fake quantization, Q and DQ, and 2:4 masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Node, Value
from sparqc.ir.vocabulary.channel_shape import channel_shape
from sparqc.ir.vocabulary.forms import (
    NUMPY_DTYPES,
    Rng,
    fx_call,
    integer,
    normal,
    optional_integer,
    optional_tensor,
    tensor,
    wrap,
    written_as_others,
)
from sparqc.ir.vocabulary.operator import (
    Call,
    FxCall,
    FxForm,
    Given,
    OnnxEmitter,
    OnnxForm,
    OperandSpec,
    Operator,
    Reading,
    Sample,
)

QUANTIZED = (OperandSpec("x"), OperandSpec("scale"), OperandSpec("zero_point", optional=True))
#: From here on Q and DQ take scales in half precision.
OPSET_OF_HALF_SCALES = 19
#: The integers that (low, high) saturate to; codes of [-127, 127] are stored as i8 too.
INTEGERS = {(-128, 127): "i8", (-127, 127): "i8", (0, 255): "u8"}


# -- reference semantics -------------------------------------------------------------------------


def _require_fitting(x: Array, scale: Array, axis: int | None) -> None:
    if axis is not None and not (axis < x.ndim and scale.size in (1, x.shape[axis])):
        raise SparqcError(
            f"{scale.size} scales do not fit axis {axis} of a tensor of the shape {list(x.shape)}",
            hint="give one scale, or one for each entry of the axis",
        )


def codes_of(
    x: Array, scale: Array, zero_point: Array | None, axis: int | None, low: int, high: int
) -> Array:
    """clamp(round_half_even(x / scale) + zero_point, low, high), as f32."""
    _require_fitting(x, scale, axis)
    shape = channel_shape(axis, x.ndim)
    step = scale.reshape(shape).astype(np.float32)
    with np.errstate(invalid="ignore"):
        codes = np.rint(x.astype(np.float32) / step)
    if zero_point is not None:
        codes = codes + zero_point.reshape(shape).astype(np.float32)
    clipped: Array = np.clip(codes, low, high)
    return clipped


def _evaluate_qdq(operands: Mapping[str, Any], attributes: Mapping[str, Any]) -> Sequence[Array]:
    x, scale, zero_point = operands["x"], operands["scale"], operands.get("zero_point")
    axis = attributes["axis"]
    codes = codes_of(x, scale, zero_point, axis, attributes["low"], attributes["high"])
    shape = channel_shape(axis, x.ndim)
    step = scale.reshape(shape).astype(np.float32)
    if zero_point is not None:
        codes = codes - zero_point.reshape(shape).astype(np.float32)
    return (np.where(np.isnan(step), x, (codes * step).astype(x.dtype)),)


def _evaluate_quantize(
    operands: Mapping[str, Any], attributes: Mapping[str, Any]
) -> Sequence[Array]:
    target = NUMPY_DTYPES[attributes["to"]]
    limits = np.iinfo(target)
    codes = codes_of(
        operands["x"], operands["scale"], operands.get("zero_point"), attributes["axis"],
        int(limits.min), int(limits.max),
    )  # fmt: skip
    return (codes.astype(target),)


def _evaluate_dequantize(
    operands: Mapping[str, Any], attributes: Mapping[str, Any]
) -> Sequence[Array]:
    x, scale, zero_point = operands["x"], operands["scale"], operands.get("zero_point")
    _require_fitting(x, scale, attributes["axis"])
    shape = channel_shape(attributes["axis"], x.ndim)
    step = scale.reshape(shape)
    codes = x.astype(np.float32)
    if zero_point is not None:
        codes = codes - zero_point.reshape(shape).astype(np.float32)
    return ((codes * step.astype(np.float32)).astype(scale.dtype),)


def _evaluate_mask(operands: Mapping[str, Any], _: Mapping[str, Any]) -> Sequence[Array]:
    return (masked(operands["w"], operands["mask"]),)


# -- FX ------------------------------------------------------------------------------------------


def _read_qdq(call: Call) -> Reading | None:
    given = call.arguments
    return Reading(
        {"x": given["x"], "scale": given["scale"], "zero_point": None},
        {name: given[name] for name in ("axis", "low", "high")},
    )


def _write_qdq(node: Node) -> FxCall:
    zero_point = optional_tensor(node, "zero_point")
    if zero_point is not None:
        raise SparqcError(
            f"{node.output.name}: fake quantization in PyTorch is symmetric, but q.qdq has a "
            "zero point",
            hint="leave zero_point out; an asymmetric range has no INT8 kernel",
        )
    names = ("axis", "low", "high")
    return fx_call(
        "sparqc.qdq.default",
        tensor(node, "x"), tensor(node, "scale"), *(node.attributes[n] for n in names),
    )  # fmt: skip


# -- ONNX ----------------------------------------------------------------------------------------


def emit_quantize(
    node: Node, emitter: OnnxEmitter, x: Value | str, axis: int | None, output: Value | str
) -> None:
    """Write the QuantizeLinear and DequantizeLinear of a q.qdq on `x`, in place of its own x."""
    bounds = integer(node, "low"), integer(node, "high")
    if bounds not in INTEGERS:
        raise SparqcError(
            f"{node.output.name}: no ONNX integer type saturates at {bounds[0]}..{bounds[1]}",
            hint=f"use one of {', '.join(f'{a}..{b}' for a, b in INTEGERS)}",
        )
    scale, zero = emit_parameters(node, emitter, INTEGERS[bounds])
    codes = emitter.temp(f"{node.output.name}_codes")
    given = {} if axis is None else {"axis": axis}
    emitter.emit("QuantizeLinear", [x, scale, zero], given, outputs=[codes])
    emitter.emit("DequantizeLinear", [codes, scale, zero], given, outputs=[output])


def emit_parameters(
    node: Node, emitter: OnnxEmitter, dtype: str
) -> tuple[Value | str, Value | str]:
    """The scale in the type of the data, and the zero point, which old readers insist on."""
    scale, zero_point = tensor(node, "scale"), optional_tensor(node, "zero_point")
    if scale.data is not None and np.isnan(scale.data).any():
        raise SparqcError(
            f"{node.output.name}: the quantizer has no scale yet", hint="calibrate the model first"
        )
    typed = _in_type_of_data(node, emitter, scale)
    if zero_point is not None:
        return typed, zero_point
    shape = tuple(d for d in scale.shape or () if isinstance(d, int))
    hint = f"{node.output.name}_zero_point"
    return typed, emitter.constant(np.zeros(shape, _integers(dtype)), hint)


def _integers(dtype: str) -> np.dtype[Any]:
    """The numpy dtype of codes, of 4 and 16 bits too."""
    return NUMPY_DTYPES.get(dtype) or np.dtype(getattr(ml_dtypes, dtype, dtype))


def _in_type_of_data(node: Node, emitter: OnnxEmitter, scale: Value) -> Value | str:
    """The scale of half data is half too, where the opset allows that."""
    dtype = tensor(node, "x").type.dtype
    if dtype not in ("f16", "bf16") or scale.data is None or emitter.opset < OPSET_OF_HALF_SCALES:
        return scale
    if scale.type.dtype == dtype:
        return scale
    return emitter.constant(scale.data.astype(NUMPY_DTYPES[dtype]), scale.name)


def _write_qdq_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x = limited(node, emitter, tensor(node, "x"))
    emit_quantize(node, emitter, x, optional_integer(node, "axis"), node.output)


def stored(value: Value) -> Array | None:
    """The numbers of a constant, masked or not; None for tensors."""
    producer = value.producer
    if producer is None or producer.op != "sparse.mask":
        return value.data
    w, mask = tensor(producer, "w").data, tensor(producer, "mask").data
    return None if w is None or mask is None else masked(w, mask)


def masked(w: Array, mask: Array) -> Array:
    """w where the mask is set, zero elsewhere."""
    kept: Array = np.where(mask != 0, w, np.zeros((), w.dtype))
    return kept


def limited_data(node: Node) -> tuple[Array | None, bool]:
    """The numbers of a constant x, None for tensors, and whether they had to be clipped so that no
    code falls below `low`."""
    scale, axis = tensor(node, "scale"), optional_integer(node, "axis")
    data = stored(tensor(node, "x"))
    if data is None or node.attributes["low"] != -127 or scale.data is None:
        return data, False
    if codes_of(data, scale.data, None, axis, -(1 << 24), 127).min() >= -127:
        return data, False
    return np.maximum(data, -127 * scale.data.reshape(channel_shape(axis, data.ndim))), True


def limited(node: Node, emitter: OnnxEmitter, x: Value) -> Value | str:
    """x, clipped where codes from -127 are asked for and an i8 code of -128 could arise."""
    scale, axis = tensor(node, "scale"), optional_integer(node, "axis")
    if node.attributes["low"] != -127 or scale.data is None:
        return x
    data, clipped = limited_data(node)
    if data is not None:
        return emitter.constant(data, x.name) if clipped else x
    output = emitter.temp(f"{node.output.name}_clipped")
    bound = -127 * scale.data.reshape(channel_shape(axis, x.type.rank or 0))
    emitter.emit("Max", [x, emitter.constant(bound, f"{output}_low")], outputs=[output])
    return output


def _axis_of(call: Call, x: Value, scale: Value) -> int | None:
    """The channel axis, counted from the front; None for one scale a tensor."""
    axis = wrap(int(call.arguments.get("axis", 1)), x.type.rank or 0)
    if scale.shape == () or x.shape is None:
        return None if scale.shape == () else axis
    if scale.shape == (1,):
        return axis if axis < len(x.shape) and x.shape[axis] == 1 else None
    return axis


def _zero_point(value: Value | None) -> Value | None:
    """An all-zero zero point says no more than its absence."""
    return None if value is None or (value.data is not None and not value.data.any()) else value


def _read_quantize(call: Call) -> Reading | None:
    given = call.arguments
    x, scale, zero_point = given["x"], given["y_scale"], given.get("y_zero_point")
    to = call.types[0].dtype
    if to == "?" and zero_point is not None:
        to = zero_point.type.dtype
    if given.get("block_size") or to not in ("i8", "u8"):
        return None
    return Reading(
        {"x": x, "scale": scale, "zero_point": _zero_point(zero_point)},
        {"axis": _axis_of(call, x, scale), "to": to},
    )


def _read_dequantize(call: Call) -> Reading | None:
    given = call.arguments
    x, scale = given["x"], given["x_scale"]
    if given.get("block_size"):
        return None
    return Reading(
        {"x": x, "scale": scale, "zero_point": _zero_point(given.get("x_zero_point"))},
        {"axis": _axis_of(call, x, scale)},
    )


def _write_one(op_type: str, node: Node, emitter: OnnxEmitter, dtype: str) -> None:
    x, axis = tensor(node, "x"), node.attributes["axis"]
    given = {} if axis is None else {"axis": axis}
    if dtype == "i32":  # a bias: ONNX forbids a zero point other than 0, readers any
        emitter.emit(op_type, [x, tensor(node, "scale")], given, outputs=node.outputs)
        return
    emitter.emit(op_type, [x, *emit_parameters(node, emitter, dtype)], given, outputs=node.outputs)


def _write_quantize(node: Node, emitter: OnnxEmitter) -> None:
    _write_one("QuantizeLinear", node, emitter, str(node.attributes["to"]))


def _write_dequantize(node: Node, emitter: OnnxEmitter) -> None:
    x = tensor(node, "x")
    dtype = x.type.dtype
    if dtype == "?" and x.producer is not None:
        dtype = str(x.producer.attributes.get("to", "i8"))
    _write_one("DequantizeLinear", node, emitter, "i8" if dtype == "?" else dtype)


def _write_mask_onnx(node: Node, emitter: OnnxEmitter) -> None:
    """The product with the mask as 0 and 1 in the type of the weight."""
    w, mask = tensor(node, "w"), tensor(node, "mask")
    if mask.data is None:
        raise SparqcError(
            f"{node.output.name}: a mask that is computed cannot be written to ONNX",
            hint="make the mask a constant",
        )
    ones = (mask.data != 0).astype(NUMPY_DTYPES.get(w.type.dtype, np.float32))
    product = emitter.constant(ones, f"{node.output.name}_mask")
    emitter.emit("Mul", [w, product], outputs=node.outputs)


# -- samples -------------------------------------------------------------------------------------


def _scaled(rng: Rng) -> tuple[Array, Array, int | None]:
    """Data of [3, 4, 5], and a scale that saturates a little: one, or one for each channel."""
    x = normal(rng, 3, 4, 5)
    axis = None if rng.random() < 0.4 else int(rng.integers(3))
    count: tuple[int, ...] = () if axis is None else (x.shape[axis],)
    return x, rng.uniform(0.01, 0.03, count).astype(np.float32), axis


def _sample_qdq(rng: Rng) -> Sample:
    x, scale, axis = _scaled(rng)
    low = int(rng.choice([-128, -127]))
    attributes = {"axis": axis, "low": low, "high": 127}
    return Sample({"x": x, "scale": scale, "zero_point": None}, attributes, frozenset({"scale"}))


def _sample_quantize(rng: Rng) -> Sample:
    x, scale, axis = _scaled(rng)
    operands = {"x": x, "scale": scale, "zero_point": None}
    return Sample(operands, {"axis": axis, "to": "i8"}, frozenset({"scale"}))


def _sample_dequantize(rng: Rng) -> Sample:
    x, scale, axis = _scaled(rng)
    codes = rng.integers(-128, 128, x.shape).astype(np.int8)
    operands = {"x": codes, "scale": scale, "zero_point": None}
    return Sample(operands, {"axis": axis}, frozenset({"scale"}))


def _sample_mask(rng: Rng) -> Sample:
    operands = {"w": normal(rng, 4, 8), "mask": rng.random((4, 8)) < 0.5}
    return Sample(operands, {}, frozenset({"w", "mask"}))


def _around(rng: Rng, given: Given, codes: bool) -> Sample | None:
    """One scale, or one for each index of an axis; `codes` are read and not written."""
    shape, asked = given.shape("x"), given.attributes
    shape = (3, 4, 5) if shape is None else shape
    scale, stored = given.shape("scale"), given.operands.get("x")
    axes: list[int | None] = [None, None, *range(len(shape))]
    if scale is not None:
        axes = [axis for axis, n in enumerate(shape) if scale == (n,)] if scale else [None]
    axis: Any = asked.get("axis", axes[int(rng.integers(len(axes)))] if axes else None)
    if axis is not None and not -len(shape) <= axis < len(shape):
        return None
    count = () if axis is None else (shape[axis],)
    read = stored.type.dtype if stored is not None else "i8" if rng.random() < 0.8 else "u8"
    dtype = NUMPY_DTYPES[str(read if codes else asked.get("to", "i8"))]
    numbers = rng.integers(-128, 256, shape).astype(dtype) if codes else normal(rng, *shape)
    largest = 0.03 if rng.random() < 0.5 else 0.006  # the latter saturates
    operands = {
        "x": numbers, "scale": np.asarray(rng.uniform(0.003, largest, count), np.float32),
        "zero_point": np.zeros(count, dtype),
    }  # fmt: skip
    return Sample(operands, {"axis": axis}, frozenset({"scale", "zero_point"}))


def _around_qdq(rng: Rng, given: Given) -> Sample | None:
    sample = _around(rng, given, codes=False)
    low = int(rng.choice([-128, -127]))
    return sample and replace(sample, attributes={**sample.attributes, "low": low, "high": 127})


def _around_quantize(rng: Rng, given: Given) -> Sample | None:
    sample = _around(rng, given, codes=False)
    return sample and replace(sample, attributes={**sample.attributes, "to": "i8"})


def _around_dequantize(rng: Rng, given: Given) -> Sample | None:
    return _around(rng, given, codes=True)


def _around_mask(rng: Rng, given: Given) -> Sample | None:
    shape = given.shape("w")
    shape = (4, 8) if shape is None else shape
    operands = {"w": normal(rng, *shape), "mask": np.asarray(rng.random(shape) < 0.5)}
    return Sample(operands, {}, frozenset({"w", "mask"}))


OPERATORS = (
    Operator(
        "q.qdq",
        "Fake quantization: clamp(round_half_even(x / scale), low, high) * scale. The scale is a "
        "scalar, or one for each index of the axis; where it is NaN (not calibrated) x passes.",
        QUANTIZED, {"axis": None, "low": -128, "high": 127},
        constant_expression=True, evaluate=_evaluate_qdq,
        traits=("keeps_type",), sample=_sample_qdq, around=_around_qdq,
        fx=FxForm(("sparqc.qdq.default",), _read_qdq, _write_qdq),
        onnx=written_as_others(_write_qdq_onnx),
    ),
    Operator(
        "q.quantize", "round_half_even(x / scale) + zero_point, saturated to the integers of `to`.",
        QUANTIZED, {"axis": None, "to": "i8"},
        constant_expression=True, evaluate=_evaluate_quantize, sample=_sample_quantize,
        around=_around_quantize,
        onnx=OnnxForm(("QuantizeLinear",), _read_quantize, _write_quantize),
    ),
    Operator(
        "q.dequantize", "(x - zero_point) * scale.",
        QUANTIZED, {"axis": None},
        constant_expression=True, evaluate=_evaluate_dequantize, sample=_sample_dequantize,
        around=_around_dequantize,
        onnx=OnnxForm(("DequantizeLinear",), _read_dequantize, _write_dequantize),
    ),
    Operator(
        "sparse.mask", "w where the mask is set, zero elsewhere; the gradient passes unchanged.",
        (OperandSpec("w"), OperandSpec("mask")),
        constant_expression=True, evaluate=_evaluate_mask,
        traits=("elementwise", "keeps_type"), sample=_sample_mask, around=_around_mask,
        fx=FxForm(("sparqc.mask.default",),
                  lambda c: Reading({"w": c.arguments["w"], "mask": c.arguments["mask"]}),
                  lambda n: fx_call("sparqc.mask.default", tensor(n, "w"), tensor(n, "mask"))),
        onnx=written_as_others(_write_mask_onnx),
    ),
)  # fmt: skip
