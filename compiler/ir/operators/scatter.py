"""A part of a tensor replaced: what `y[:, 1:3] = x` is once nothing changes in place."""

from __future__ import annotations

from math import prod

import numpy as np

from sparqc.errors import NoForm
from sparqc.ir.graph import Node, Value
from sparqc.ir.operators.filling import emit_filled, number_of
from sparqc.ir.operators.movement import END, settle
from sparqc.ir.vocabulary.forms import (
    NUMPY_DTYPES,
    Rng,
    X,
    fx_call,
    integer,
    normal,
    rank_of,
    static_ints,
    tensor,
    torch_dtype,
    wrap,
    written_as_others,
)
from sparqc.ir.vocabulary.operator import (
    REQUIRED,
    Call,
    FxCall,
    FxForm,
    OnnxEmitter,
    OperandSpec,
    Operator,
    Reading,
    Sample,
)

#: Up to so many numbers a filled tensor is stored as it is.
SMALL = 1 << 16
PARTS = (OperandSpec("x"), OperandSpec("part"))


# -- slice_scatter -------------------------------------------------------------------------------


def _read_slice(call: Call) -> Reading | None:
    given, x = call.arguments, call.arguments["self"]
    end = END if given["end"] is None else given["end"]
    bounds = static_ints([given["dim"], given["start"] or 0, end])
    if bounds is None or x.shape is None or given["step"] != 1:
        return None
    axis = wrap(bounds[0], len(x.shape))
    start, end, _, _ = settle((bounds[1], bounds[2], axis, 1), x.shape[axis])
    operands = {"x": x, "part": given["src"]}
    return Reading(operands, {"axis": axis, "start": start, "end": end})


def _write_slice(node: Node) -> FxCall:
    bounds = (node.attributes[name] for name in ("axis", "start", "end"))
    return fx_call("aten.slice_scatter.default", tensor(node, "x"), tensor(node, "part"), *bounds)


def _write_slice_onnx(node: Node, emitter: OnnxEmitter) -> None:
    part = tensor(node, "part")
    start, end = (integer(node, n) for n in ("start", "end"))
    _put(node, emitter, part, start, end)


def _put(node: Node, emitter: OnnxEmitter, part: Value | str, start: int, end: int) -> None:
    """What is in front of the part, the part, and what is behind it."""
    axis = integer(node, "axis")
    parts: list[Value | str | None] = [part]
    if start != 0:
        parts.insert(0, _cut(node, emitter, 0, start, axis))
    if end != END:
        parts.append(_cut(node, emitter, end, END, axis))
    if len(parts) == 1:
        emitter.emit("Identity", parts, outputs=node.outputs)
        return
    emitter.emit("Concat", parts, {"axis": axis}, outputs=node.outputs)


def _cut(node: Node, emitter: OnnxEmitter, start: int, end: int, axis: int) -> str:
    x, hint = tensor(node, "x"), node.output.name
    bounds = [emitter.constant(np.array([n], np.int64), f"{hint}_cut") for n in (start, end, axis)]
    piece = emitter.temp(hint)
    emitter.emit("Slice", [x, *bounds], outputs=[piece])
    return piece


def _sample_slice(rng: Rng) -> Sample:
    start, end = [(0, 2), (1, 3), (3, END), (0, END)][int(rng.integers(4))]
    size = min(end, 5) - start
    operands = {"x": normal(rng, 2, 5, 3), "part": normal(rng, 2, size, 3)}
    return Sample(operands, {"axis": 1, "start": start, "end": end})


# -- select_scatter ------------------------------------------------------------------------------


def _read_select(call: Call) -> Reading | None:
    given, x = call.arguments, call.arguments["self"]
    where = static_ints([given["dim"], given["index"]])
    if where is None or x.shape is None:
        return None
    axis = wrap(where[0], len(x.shape))
    size = x.shape[axis]
    index = wrap(where[1], size) if isinstance(size, int) else where[1]
    return Reading({"x": x, "part": given["src"]}, {"axis": axis, "index": index})


def _write_select(node: Node) -> FxCall:
    place = (node.attributes[name] for name in ("axis", "index"))
    return fx_call("aten.select_scatter.default", tensor(node, "x"), tensor(node, "part"), *place)


def _write_select_onnx(node: Node, emitter: OnnxEmitter) -> None:
    part, hint = tensor(node, "part"), node.output.name
    axes = emitter.constant(np.array([node.attributes["axis"]], np.int64), f"{hint}_axes")
    slab = emitter.temp(hint)
    emitter.emit("Unsqueeze", [part, axes], outputs=[slab])
    index = integer(node, "index")
    _put(node, emitter, slab, index, END if index == -1 else index + 1)


def _sample_select(rng: Rng) -> Sample:
    operands = {"x": normal(rng, 2, 5, 3), "part": normal(rng, 2, 3)}
    return Sample(operands, {"axis": 1, "index": int(rng.integers(5))})


# -- full_like -----------------------------------------------------------------------------------


def _read_full(call: Call) -> Reading | None:
    """zeros_like, ones_like, full_like, and zero_ and fill_ as they are read."""
    given, x, dtype = call.arguments, call.arguments["self"], call.types[0].dtype
    packet = call.target.split(".")[1].rstrip("_")
    value = {"zero": 0, "zeros_like": 0, "ones_like": 1, "empty_like": 0}.get(packet)
    value = given.get("fill_value", given.get("value")) if value is None else value
    if isinstance(value, Value):
        value = value.data.item() if value.data is not None and value.data.ndim == 0 else None
    filled = number_of(value, dtype)
    if filled is None or x.type.dtype not in NUMPY_DTYPES or rank_of(x) is None:
        return None
    return Reading({"x": x}, {"value": filled, "dtype": None if dtype == x.type.dtype else dtype})


def _write_full(node: Node) -> FxCall:
    x, value, dtype = tensor(node, "x"), node.attributes["value"], node.attributes["dtype"]
    more = {} if dtype is None else {"dtype": torch_dtype(str(dtype))}
    return fx_call("aten.full_like.default", x, value, **more)


def _write_full_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x, shape = tensor(node, "x"), emitter.temp(f"{node.output.name}_shape")
    dtype, value = str(node.attributes["dtype"] or x.type.dtype), node.attributes["value"]
    if dtype not in NUMPY_DTYPES:
        raise NoForm(f"{node.output.name}: the type of the tensor to fill is unknown")
    array, sizes = np.array([value]).astype(NUMPY_DTYPES[dtype]), static_ints(x.shape)
    if sizes is not None and prod(sizes) <= SMALL:
        filled = emitter.constant(np.broadcast_to(array, sizes).copy(), node.output.name)
        emitter.emit("Identity", [filled], outputs=node.outputs)
        return
    emitter.emit("Shape", [x], outputs=[shape])
    emit_filled(shape, array, emitter, node.output)


def _sample_full(rng: Rng) -> Sample:
    value, dtype = float(rng.choice([0, 1, -2.5])), [None, "f64"][int(rng.integers(2))]
    return Sample({"x": normal(rng, 2, 3)}, {"value": value, "dtype": dtype})


_FULL = ("aten.full_like.default", "aten.zeros_like.default", "aten.ones_like.default",
         "aten.empty_like.default",
         "aten.zero.default", "aten.zero_.default", "aten.fill.Scalar", "aten.fill_.Scalar",
         "aten.fill.Tensor", "aten.fill_.Tensor")  # fmt: skip

OPERATORS = (
    Operator(
        "nn.slice_scatter", "x with x[start:end] on an axis replaced by the part.", PARTS,
        {"axis": 0, "start": 0, "end": END}, sample=_sample_slice,
        fx=FxForm(("aten.slice_scatter.default",), _read_slice, _write_slice),
        onnx=written_as_others(_write_slice_onnx),
    ),
    Operator(
        "nn.select_scatter", "x with x[index] on an axis replaced by the part.", PARTS,
        {"axis": 0, "index": REQUIRED}, sample=_sample_select,
        fx=FxForm(("aten.select_scatter.default",), _read_select, _write_select),
        onnx=written_as_others(_write_select_onnx),
    ),
    Operator(
        "nn.full_like", "A tensor of the shape of x that holds one number everywhere, in the type "
        "of x or another one.", X, {"value": REQUIRED, "dtype": None}, sample=_sample_full,
        fx=FxForm(_FULL, _read_full, _write_full), onnx=written_as_others(_write_full_onnx),
    ),
)  # fmt: skip
