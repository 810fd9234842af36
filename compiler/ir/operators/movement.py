"""Operators that put tensors together and take them apart: concat, split, slice, pad, gather."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    Rng,
    X,
    axes_of,
    emit_one,
    fx_call,
    integer,
    ints,
    normal,
    rank_of,
    static_ints,
    tensor,
    tensors,
    wrap,
    written_as_others,
)
from sparqc.ir.vocabulary.operator import (
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


#: Stacks that join tensors along an axis which they have: the axis, and the ranks that have it.
_JOINING = {
    "aten.hstack.default": (1, 2), "aten.vstack.default": (0, 2), "aten.dstack.default": (2, 3),
}  # fmt: skip


def _read_cat(call: Call) -> Reading | None:
    tensors = call.arguments["tensors"]
    if call.target not in _JOINING:
        return _concat(call, tensors, call.arguments["dim"])
    axis, rank = _JOINING[call.target]
    if any(v.shape is None or len(v.shape) < rank for v in tensors):
        return None  # PyTorch gives tensors of a lower rank an axis first
    return _concat(call, tensors, axis)


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
    attributes: dict[str, Any] = {"sizes": sizes, "axis": wrap(axis, rank or 0)}
    return Reading({"x": call.arguments["input"]}, attributes)


def _write_split(node: Node) -> FxCall:
    sizes, axis = list(ints(node, "sizes")), integer(node, "axis")
    return fx_call("aten.split_with_sizes.default", tensor(node, "x"), sizes, axis)


def _write_split_onnx(node: Node, emitter: OnnxEmitter) -> None:
    sizes, axis = node.attributes["sizes"], node.attributes["axis"]
    if emitter.opset < 13:
        emit_one("Split", node, emitter, "x", axis=axis, split=sizes)
        return
    x = tensor(node, "x")
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
    settled = [settle(r, x.shape[r[2]] if x.shape else None) for r in ranges]
    # No range at all is a slice of everything.
    starts, ends, axes, steps = zip(*settled, strict=True) if settled else ((),) * 4
    attributes = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
    return Reading({"x": x}, attributes)


def settle(bounds: tuple[int, int, int, int], size: int | str | None) -> tuple[int, int, int, int]:
    """One spelling of a range: counted from the front where the size is known, END for the rest."""
    start, end, axis, step = bounds
    if step < 0 or not isinstance(size, int):
        return (start, END if end >= END else end, axis, step)
    start = min(max(wrap(start, size), 0), size)
    end = wrap(end, size)
    return (start, END if end >= size else max(end, 0), axis, step)


def _write_slice(node: Node) -> FxCall:
    names = ("axes", "starts", "ends", "steps")
    call: Any = tensor(node, "x")
    for axis, start, end, step in zip(*(ints(node, n) for n in names), strict=True):
        call = fx_call("aten.slice.Tensor", call, axis, start, end, step)
    return call  # type: ignore[no-any-return]


def _read_slice_onnx(call: Call) -> Reading | None:
    given, x = call.arguments, call.arguments["data"]
    starts, ends = axes_of(call, "starts"), axes_of(call, "ends")
    rank = rank_of(x)
    if not starts or ends is None or rank is None:
        return None  # without an axis it is an identity
    axes = axes_of(call) if given.get("axes") is not None else tuple(range(len(starts)))
    steps = axes_of(call, "steps") if given.get("steps") is not None else (1,) * len(starts)
    if axes is None or steps is None:
        return None
    axes = tuple(wrap(axis, rank) for axis in axes)
    return _slice(x, list(zip(starts, ends, axes, steps, strict=True)))


def _write_slice_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x, names = tensor(node, "x"), ("starts", "ends", "axes", "steps")
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


# -- stack and unbind ----------------------------------------------------------------------------


def _read_stack(call: Call) -> Reading | None:
    tensors, rank = call.arguments["tensors"], call.types[0].rank
    if rank is None or len({t.type.dtype for t in tensors}) > 1:
        return None
    return Reading({"xs": tuple(tensors)}, {"axis": wrap(call.arguments["dim"], rank)})


def _write_stack_onnx(node: Node, emitter: OnnxEmitter) -> None:
    xs, axis, hint = tensors(node, "xs"), node.attributes["axis"], node.output.name
    axes = emitter.constant(np.array([axis], np.int64), f"{hint}_axes")
    parts = [emitter.temp(hint) for _ in xs]
    for x, part in zip(xs, parts, strict=True):
        emitter.emit("Unsqueeze", [x, axes], outputs=[part])
    emitter.emit("Concat", parts, {"axis": axis}, outputs=node.outputs)


def _sample_stack(rng: Rng) -> Sample:
    xs = [normal(rng, 2, 3) for _ in range(int(rng.integers(1, 4)))]
    return Sample({"xs": xs}, {"axis": int(rng.integers(3))})


def _read_unbind(call: Call) -> Reading | None:
    x, rank = call.arguments["self"], rank_of(call.arguments["self"])
    return None if rank is None else Reading({"x": x}, {"axis": wrap(call.arguments["dim"], rank)})


def _write_unbind_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x, axis, hint = tensor(node, "x"), node.attributes["axis"], node.output.name
    sizes = emitter.constant(np.ones(len(node.outputs), np.int64), f"{hint}_sizes")
    axes = emitter.constant(np.array([axis], np.int64), f"{hint}_axes")
    parts = [emitter.temp(hint) for _ in node.outputs]
    emitter.emit("Split", [x, sizes], {"axis": axis}, outputs=parts)
    for part, output in zip(parts, node.outputs, strict=True):
        emitter.emit("Squeeze", [part, axes], outputs=[output])


def _sample_unbind(rng: Rng) -> Sample:
    return Sample({"x": normal(rng, 3, 4, 3)}, {"axis": int(rng.choice([0, 2]))})


# -- roll ----------------------------------------------------------------------------------------


def _read_roll(call: Call) -> Reading | None:
    shifts, dims = static_ints(call.arguments["shifts"]), static_ints(call.arguments["dims"])
    rank = rank_of(call.arguments["self"])
    if not dims or shifts is None or rank is None:
        return None  # without axes torch rolls the flattened tensor
    axes = tuple(wrap(axis, rank) for axis in dims)
    return Reading({"x": call.arguments["self"]}, {"shifts": shifts, "axes": axes})


def _write_roll(node: Node) -> FxCall:
    shifts, axes = (list(ints(node, name)) for name in ("shifts", "axes"))
    return fx_call("aten.roll.default", tensor(node, "x"), shifts, axes)


def _write_roll_onnx(node: Node, emitter: OnnxEmitter) -> None:
    """For each axis, the last numbers in front of the others."""
    x, hint = tensor(node, "x"), node.output.name
    shape = x.shape or ()
    current: Value | str = x
    for shift, axis in zip(ints(node, "shifts"), ints(node, "axes"), strict=True):
        size = shape[axis] if shape else None
        if isinstance(size, int):
            shift = shift % size
        rolled, tail, head = (emitter.temp(hint) for _ in range(3))
        _cut(emitter, current, -shift, END, axis, tail, hint)
        _cut(emitter, current, 0, -shift, axis, head, hint)
        emitter.emit("Concat", [tail, head], {"axis": axis}, outputs=[rolled])
        current = current if shift == 0 else rolled
    emitter.emit("Identity", [current], outputs=node.outputs)


def _cut(
    emitter: OnnxEmitter, x: Value | str, start: int, end: int, axis: int, output: str, hint: str
) -> None:
    bounds = [emitter.constant(np.array([n], np.int64), f"{hint}_cut") for n in (start, end, axis)]
    emitter.emit("Slice", [x, *bounds], outputs=[output])


def _sample_roll(rng: Rng) -> Sample:
    shifts = tuple(int(s) for s in rng.integers(-2, 3, 2))
    return Sample({"x": normal(rng, 2, 5, 4)}, {"shifts": shifts, "axes": (1, 2)})


OPERATORS = (
    Operator(
        "nn.concat", "The tensors, one behind the other along an axis.",
        (OperandSpec("xs", variadic=True),), {"axis": REQUIRED},
        traits=("moves",), sample=_sample_concat,
        fx=FxForm(("aten.cat.default", "aten.concat.default", "aten.concatenate.default",
                   *_JOINING),
                  _read_cat, lambda n: fx_call(
                      "aten.cat.default", list(tensors(n, "xs")), n.attributes["axis"])),
        onnx=OnnxForm(("Concat",), lambda c: _concat(c, c.arguments["inputs"], c.arguments["axis"]),
                      lambda n, e: emit_one("Concat", n, e, "xs", axis=n.attributes["axis"])),
    ),
    Operator(
        "nn.split", "x cut along an axis into pieces of these sizes.", X,
        {"sizes": REQUIRED, "axis": 0}, outputs=("y*",), traits=("moves",), sample=_sample_split,
        fx=FxForm(("aten.split_with_sizes.default", "aten.split.Tensor", "aten.split.sizes",
                   "aten.chunk.default", "aten.tensor_split.indices", "aten.tensor_split.sections"),
                  _read_split, _write_split),
        onnx=OnnxForm(("Split",), _read_split_onnx, _write_split_onnx),
    ),
    Operator(
        "nn.slice", "x[start:end:step] on each of the axes.", X,
        {"starts": REQUIRED, "ends": REQUIRED, "axes": REQUIRED, "steps": REQUIRED},
        traits=("moves",), sample=_sample_slice,
        fx=FxForm(("aten.slice.Tensor",), _read_slice, _write_slice),
        onnx=OnnxForm(("Slice",), _read_slice_onnx, _write_slice_onnx),
    ),
    Operator(
        "nn.stack", "The tensors, put together along a new axis.",
        (OperandSpec("xs", variadic=True),), {"axis": 0}, traits=("moves",), sample=_sample_stack,
        fx=FxForm(("aten.stack.default",), _read_stack, lambda n: fx_call(
            "aten.stack.default", list(tensors(n, "xs")), n.attributes["axis"])),
        onnx=written_as_others(_write_stack_onnx),
    ),
    Operator(
        "nn.unbind", "The slices of x along an axis, without that axis.", X, {"axis": 0},
        outputs=("y*",), traits=("moves",), sample=_sample_unbind,
        fx=FxForm(("aten.unbind.int",), _read_unbind, lambda n: fx_call(
            "aten.unbind.int", tensor(n, "x"), n.attributes["axis"])),
        onnx=written_as_others(_write_unbind_onnx),
    ),
    Operator(
        "nn.roll", "x moved along axes; what falls off one end comes in at the other.", X,
        {"shifts": REQUIRED, "axes": REQUIRED}, traits=("moves",), sample=_sample_roll,
        fx=FxForm(("aten.roll.default",), _read_roll, _write_roll),
        onnx=written_as_others(_write_roll_onnx),
    ),
)  # fmt: skip
