"""Operators that put tensors together and take them apart: concat, split, slice, pad, gather."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparqc.ir.forms import (
    FLOATS,
    NUMPY_DTYPES,
    Rng,
    X,
    axes_of,
    emit_one,
    fx_call,
    normal,
    number,
    rank_of,
    static_ints,
    tensor_operand,
    wrap,
)
from sparqc.ir.graph import Node, Value
from sparqc.ir.operator import (
    REQUIRED,
    Call,
    FxCall,
    FxForm,
    OnnxEmitter,
    OnnxForm,
    OperandSpec,
    Operator,
    Reading,
    Sample,
)

#: "To the end": the largest i64, as both torch and ONNX write it.
END = 2**63 - 1


# -- concat --------------------------------------------------------------------------------------


def _read_cat(call: Call) -> Reading | None:
    tensors, dim = call.arguments["tensors"], call.arguments["dim"]
    return _concat(call, tensors, dim)


def _concat(call: Call, tensors: Any, axis: int) -> Reading | None:
    rank = call.types[0].rank if call.types[0].rank is not None else rank_of(tensors[0])
    known = {t.type.dtype for t in tensors} | {call.types[0].dtype}
    if len(known - {"?"}) > 1 or (rank is None and axis < 0):
        return None
    return Reading({"xs": tuple(tensors)}, {"axis": wrap(axis, rank or 0)})


def _sample_concat(rng: Rng) -> Sample:
    axis = int(rng.integers(3))
    sizes = [int(s) for s in rng.integers(1, 4, int(rng.integers(1, 4)))]
    shapes = [[2, 3, 4] for _ in sizes]
    for shape, size in zip(shapes, sizes, strict=True):
        shape[axis] = size
    return Sample({"xs": [normal(rng, *shape) for shape in shapes]}, {"axis": axis})


# -- split ---------------------------------------------------------------------------------------


def _read_split(call: Call) -> Reading | None:
    x, dim = call.arguments["self"], call.arguments["dim"]
    return _split(call, x, dim)


def _split(call: Call, x: Value, axis: int) -> Reading | None:
    rank = call.types[0].rank if call.types else None
    if rank is None:
        return None
    axis = wrap(axis, rank)
    sizes = static_ints([t.shape[axis] if t.shape else None for t in call.types])
    return None if sizes is None else Reading({"x": x}, {"sizes": sizes, "axis": axis})


def _read_split_onnx(call: Call) -> Reading | None:
    sizes = axes_of(call, "split")
    if sizes is None:
        return _split(call, call.arguments["input"], call.arguments["axis"])
    axis, rank = call.arguments["axis"], rank_of(call.arguments["input"])
    if axis < 0 and rank is None:
        return None
    attributes = {"sizes": sizes, "axis": wrap(axis, rank or 0)}
    return Reading({"x": call.arguments["input"]}, attributes)


def _write_split(node: Node) -> FxCall:
    sizes, axis = list(node.attributes["sizes"]), node.attributes["axis"]  # type: ignore[arg-type]
    return fx_call("aten.split_with_sizes.default", node.operands["x"], sizes, axis)


def _write_split_onnx(node: Node, emitter: OnnxEmitter) -> None:
    sizes, axis = node.attributes["sizes"], node.attributes["axis"]
    if emitter.opset < 13:
        emit_one("Split", node, emitter, "x", axis=axis, split=sizes)
        return
    x = node.operands["x"]
    assert isinstance(x, Value)
    stored = emitter.constant(np.array(sizes, np.int64), f"{node.output.name}_sizes")
    emitter.emit("Split", [x, stored], {"axis": axis}, outputs=node.outputs)


def _sample_split(rng: Rng) -> Sample:
    sizes, axis = [((2, 4), 1), ((1, 2, 3), 1), ((2, 2), 2)][int(rng.integers(3))]
    return Sample({"x": normal(rng, 2, 6, 4)}, {"sizes": sizes, "axis": axis})


# -- slice ---------------------------------------------------------------------------------------


def _read_slice(call: Call) -> Reading | None:
    given, x = call.arguments, call.arguments["self"]
    bounds = static_ints(
        [given["dim"], given["start"] or 0, END if given["end"] is None else given["end"],
         given["step"]]
    )  # fmt: skip
    if bounds is None or x.shape is None:
        return None
    axis, start, end, step = bounds
    axis = wrap(axis, len(x.shape))
    return _slice(x, [(start, end, axis, step)])


def _slice(x: Value, ranges: list[tuple[int, int, int, int]]) -> Reading:
    settled = [_settle(r, x.shape[r[2]] if x.shape else None) for r in ranges]
    starts, ends, axes, steps = zip(*settled, strict=True)
    attributes = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
    return Reading({"x": x}, attributes)


def _settle(bounds: tuple[int, int, int, int], size: int | str | None) -> tuple[int, int, int, int]:
    """One spelling of a range: counted from the front where the size is known, END for the rest."""
    start, end, axis, step = bounds
    if step < 0 or not isinstance(size, int):
        return (start, END if end >= END else end, axis, step)
    start = min(max(wrap(start, size), 0), size)
    end = wrap(end, size)
    return (start, END if end >= size else max(end, 0), axis, step)


def _write_slice(node: Node) -> FxCall:
    names = ("axes", "starts", "ends", "steps")
    call: Any = node.operands["x"]
    for axis, start, end, step in zip(*(node.attributes[n] for n in names), strict=True):  # type: ignore[arg-type]
        call = fx_call("aten.slice.Tensor", call, axis, start, end, step)
    assert isinstance(call, FxCall)
    return call


def _read_slice_onnx(call: Call) -> Reading | None:
    given, x = call.arguments, call.arguments["data"]
    starts, ends = axes_of(call, "starts"), axes_of(call, "ends")
    rank = rank_of(x)
    if starts is None or ends is None or rank is None:
        return None
    axes = axes_of(call) if given.get("axes") is not None else tuple(range(len(starts)))
    steps = axes_of(call, "steps") if given.get("steps") is not None else (1,) * len(starts)
    if axes is None or steps is None:
        return None
    axes = tuple(wrap(axis, rank) for axis in axes)
    return _slice(x, list(zip(starts, ends, axes, steps, strict=True)))


def _write_slice_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x, names = node.operands["x"], ("starts", "ends", "axes", "steps")
    assert isinstance(x, Value)
    inputs = [
        emitter.constant(np.array(node.attributes[n], np.int64), f"{node.output.name}_{n}")
        for n in names
    ]
    emitter.emit("Slice", [x, *inputs], outputs=node.outputs)


def _sample_slice(rng: Rng) -> Sample:
    ranges = [(1, END, 2, 1), (0, 3, 1, 2), (-3, -1, 1, 1), (2, 100, 2, 3)]
    starts, ends, axes, steps = ranges[int(rng.integers(4))]
    sample = {"starts": (starts,), "ends": (ends,), "axes": (axes,), "steps": (steps,)}
    return Sample({"x": normal(rng, 2, 5, 7)}, sample)


# -- pad -----------------------------------------------------------------------------------------

_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
_TORCH_MODES = {onnx: torch for torch, onnx in _MODES.items()}


def _read_pad(call: Call) -> Reading | None:
    """torch lists pairs, the last dimension first; ONNX all begins, then all ends."""
    given, rank = call.arguments, rank_of(call.arguments["self"])
    pairs, mode = static_ints(given["pad"]), _MODES.get(given.get("mode", "constant"))
    value = given.get("value") or 0.0
    if pairs is None or rank is None or mode is None or isinstance(value, Value):
        return None
    pairs = pairs + (0,) * (2 * rank - len(pairs))
    begins, ends = pairs[-2::-2], pairs[::-2]
    attributes = {"pads": begins + ends, "mode": mode, "value": float(value)}
    return Reading({"x": given["self"]}, attributes)


def _write_pad(node: Node) -> FxCall:
    pads = list(node.attributes["pads"])  # type: ignore[arg-type]
    rank = len(pads) // 2
    pairs = [p for axis in reversed(range(rank)) for p in (pads[axis], pads[axis + rank])]
    if node.attributes["mode"] == "constant":
        while len(pairs) > 2 and pairs[-2:] == [0, 0]:
            del pairs[-2:]
        x, value = node.operands["x"], node.attributes["value"]
        return fx_call("aten.constant_pad_nd.default", x, pairs, value)
    # torch reflects and replicates spatial dimensions only, and wants all of them.
    spatial = pairs[: 2 * max(rank - 2, 1)]
    mode = _TORCH_MODES[str(node.attributes["mode"])]
    return fx_call("aten.pad.default", node.operands["x"], spatial, mode)


def _read_pad_onnx(call: Call) -> Reading | None:
    given, rank = call.arguments, rank_of(call.arguments["data"])
    pads, mode, value = axes_of(call, "pads"), given["mode"], _fill(call)
    if pads is None or rank is None or value is None or mode not in _TORCH_MODES:
        return None
    if given.get("axes") is not None:
        axes = axes_of(call)
        if axes is None:
            return None
        full = [0] * (2 * rank)
        for index, axis in enumerate(axes):
            axis = wrap(axis, rank)
            full[axis], full[axis + rank] = pads[index], pads[index + len(axes)]
        pads = tuple(full)
    return Reading({"x": given["data"]}, {"pads": pads, "mode": mode, "value": value})


def _fill(call: Call) -> float | None:
    """The number to pad with: an attribute before opset 11, a scalar input since."""
    value = call.arguments.get("constant_value", call.arguments.get("value"))
    if isinstance(value, Value):
        return None if value.data is None else float(value.data.reshape(-1)[0])
    return float(value or 0.0)


def _write_pad_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x, hint, mode = node.operands["x"], node.output.name, node.attributes["mode"]
    assert isinstance(x, Value)
    inputs: list[Value | str] = [
        x, emitter.constant(np.array(node.attributes["pads"], np.int64), f"{hint}_pads"),
    ]  # fmt: skip
    if mode == "constant":
        dtype = NUMPY_DTYPES.get(x.type.dtype, np.dtype("float32"))
        fill = np.array(node.attributes["value"]).astype(dtype)
        inputs.append(emitter.constant(fill, f"{hint}_value"))
    emitter.emit("Pad", inputs, {"mode": mode}, outputs=node.outputs)


def _sample_pad(rng: Rng) -> Sample:
    mode = str(rng.choice(list(_TORCH_MODES)))
    pads = (0, 0, *(int(p) for p in rng.integers(0, 3, 2)))
    pads += (0, 0, *(int(p) for p in rng.integers(0, 3, 2)))
    value = float(rng.choice([0, -1.5])) if mode == "constant" else 0.0
    return Sample({"x": normal(rng, 2, 3, 4, 5)}, {"pads": pads, "mode": mode, "value": value})


# -- gather --------------------------------------------------------------------------------------


def _read_gather(call: Call) -> Reading | None:
    """select takes one index, index_select a vector, embedding and index[…] any shape."""
    given, packet = call.arguments, call.target.split(".")[1]
    if packet == "embedding":
        operands, axis = {"x": given["weight"], "indices": given["indices"]}, 0
    elif packet == "index":
        return _read_index(call)
    else:
        rank = rank_of(given["self"])
        if rank is None or not isinstance(given["index"], int | Value):
            return None
        operands, axis = {"x": given["self"], "indices": given["index"]}, wrap(given["dim"], rank)
    operands["indices"] = tensor_operand(operands["indices"], "i64")
    if operands["indices"] is None:
        return None  # i32 indices, which torch takes too, and symbolic ones
    return Reading(operands, {"axis": axis})


def _read_index(call: Call) -> Reading | None:
    """x[:, :, i]: one tensor of indices; several at once, and masks, are another operator."""
    indices = call.arguments["indices"]
    tensors = [(axis, i) for axis, i in enumerate(indices) if i is not None]
    if len(tensors) != 1 or tensors[0][1].type.dtype != "i64":
        return None
    axis, index = tensors[0]
    return Reading({"x": call.arguments["self"], "indices": index}, {"axis": axis})


def _write_gather(node: Node) -> FxCall:
    x, indices, axis = node.operands["x"], node.operands["indices"], node.attributes["axis"]
    assert isinstance(axis, int)
    if (index := number(node, "indices")) is not None:
        return fx_call("aten.select.int", x, axis, index)
    if axis == 0 and rank_of(x) == 2:
        return fx_call("aten.embedding.default", x, indices)
    return fx_call("aten.index.Tensor", x, [*([None] * axis), indices])


def _read_gather_onnx(call: Call) -> Reading | None:
    given, rank = call.arguments, rank_of(call.arguments["data"])
    if given["axis"] < 0 and rank is None:
        return None
    operands = {"x": given["data"], "indices": given["indices"]}
    return Reading(operands, {"axis": wrap(given["axis"], rank or 0)})


def _sample_gather(rng: Rng) -> Sample:
    axis = int(rng.integers(2))
    shape: tuple[int, ...] = [(), (3,), (2, 2)][int(rng.integers(3))]
    indices = np.asarray(rng.integers(0, 4, shape), np.int64)
    operands = {"x": normal(rng, 4, 5), "indices": indices}
    return Sample(operands, {"axis": axis}, frozenset({"indices"}))


# -- where ---------------------------------------------------------------------------------------


def _read_where(call: Call) -> Reading | None:
    given, dtype = call.arguments, call.types[0].dtype
    if call.target.startswith("aten.masked_fill"):
        condition, a, b = given["mask"], given["value"], given["self"]
    else:
        condition, a, b = given["condition"], given["self"], given["other"]
    operands = {"a": tensor_operand(a, dtype), "b": tensor_operand(b, dtype)}
    if any(o is None for o in operands.values()) or condition.type.dtype != "bool":
        return None
    return Reading({"condition": condition, **operands})


def _write_where(node: Node) -> FxCall:
    condition, a, b = (node.operands[slot] for slot in ("condition", "a", "b"))
    first, second = number(node, "a"), number(node, "b")
    float_result = isinstance(a, Value) and a.type.dtype in FLOATS
    if first is not None and second is None and float_result:
        return fx_call("aten.where.ScalarSelf", condition, first, b)
    if second is not None and first is None and float_result:
        return fx_call("aten.where.ScalarOther", condition, a, second)
    return fx_call("aten.where.self", condition, a, b)


def _read_where_onnx(call: Call) -> Reading | None:
    given = call.arguments
    return Reading({"condition": given["condition"], "a": given["X"], "b": given["Y"]})


def _sample_where(rng: Rng) -> Sample:
    shape = [(2, 3), (3,), ()][int(rng.integers(3))]
    operands = {"condition": rng.random((2, 3)) < 0.5, "a": normal(rng, *shape)}
    constants = frozenset({"a"}) if not shape else frozenset()
    return Sample({**operands, "b": normal(rng, 2, 3)}, {}, constants)


_WHERE = (OperandSpec("condition"), OperandSpec("a"), OperandSpec("b"))

OPERATORS = (
    Operator(
        "nn.concat", "The tensors, one behind the other along an axis.",
        (OperandSpec("xs", variadic=True),), {"axis": REQUIRED}, sample=_sample_concat,
        fx=FxForm(("aten.cat.default", "aten.concat.default", "aten.concatenate.default"),
                  _read_cat, lambda n: fx_call(
                      "aten.cat.default", list(n.operands["xs"] or ()), n.attributes["axis"])),
        onnx=OnnxForm(("Concat",), lambda c: _concat(c, c.arguments["inputs"], c.arguments["axis"]),
                      lambda n, e: emit_one("Concat", n, e, "xs", axis=n.attributes["axis"])),
    ),
    Operator(
        "nn.split", "x cut along an axis into pieces of these sizes.", X,
        {"sizes": REQUIRED, "axis": 0}, outputs=("y*",), sample=_sample_split,
        fx=FxForm(("aten.split_with_sizes.default", "aten.split.Tensor", "aten.split.sizes",
                   "aten.chunk.default"), _read_split, _write_split),
        onnx=OnnxForm(("Split",), _read_split_onnx, _write_split_onnx),
    ),
    Operator(
        "nn.slice", "x[start:end:step] on each of the axes.", X,
        {"starts": REQUIRED, "ends": REQUIRED, "axes": REQUIRED, "steps": REQUIRED},
        sample=_sample_slice,
        fx=FxForm(("aten.slice.Tensor",), _read_slice, _write_slice),
        onnx=OnnxForm(("Slice",), _read_slice_onnx, _write_slice_onnx),
    ),
    Operator(
        "nn.pad", "x with a margin: pads lists all begins, then all ends; mode is constant, "
        "reflect or edge.", X,
        {"pads": REQUIRED, "mode": "constant", "value": 0.0}, sample=_sample_pad,
        fx=FxForm(("aten.constant_pad_nd.default", "aten.pad.default"), _read_pad, _write_pad),
        onnx=OnnxForm(("Pad",), _read_pad_onnx, _write_pad_onnx),
    ),
    Operator(
        "nn.gather", "The slices of x at these indices along an axis; an embedding is one.",
        (OperandSpec("x"), OperandSpec("indices")), {"axis": 0}, sample=_sample_gather,
        fx=FxForm(("aten.select.int", "aten.index_select.default", "aten.embedding.default",
                   "aten.index.Tensor"), _read_gather, _write_gather),
        onnx=OnnxForm(("Gather",), _read_gather_onnx, lambda n, e: emit_one(
            "Gather", n, e, "x", "indices", axis=n.attributes["axis"])),
    ),
    Operator(
        "nn.where", "a where the condition holds, b elsewhere.", _WHERE, sample=_sample_where,
        fx=FxForm(("aten.where.self", "aten.where.ScalarSelf", "aten.where.ScalarOther",
                   "aten.masked_fill.Scalar", "aten.masked_fill_.Scalar",
                   "aten.masked_fill.Tensor"), _read_where, _write_where),
        onnx=OnnxForm(("Where",), _read_where_onnx,
                      lambda n, e: emit_one("Where", n, e, "condition", "a", "b")),
    ),
)  # fmt: skip
