"""The largest and smallest numbers along an axis, and where they stand."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.operators.sizes import sized
from sparqc.ir.vocabulary.forms import (
    Rng,
    X,
    emit_one,
    fx_call,
    integer,
    normal,
    rank_of,
    sample_x,
    tensor,
    wrap,
    written_as_others,
)
from sparqc.ir.vocabulary.operator import (
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

# -- one of them ---------------------------------------------------------------------------------

_AXIS = {"axis": 0, "keepdims": True}


def _read(call: Call) -> Reading | None:
    given, rank = call.arguments, rank_of(call.arguments["self"])
    if not rank or not isinstance(given["dim"], int):
        return None  # without an axis the index is that of the flattened tensor
    if given["self"].type.dtype in ("bool", "i16"):
        return None  # ONNX does not order them
    attributes = {"axis": wrap(given["dim"], rank), "keepdims": bool(given["keepdim"])}
    return Reading({"x": given["self"]}, attributes)


def _read_index_onnx(call: Call) -> Reading | None:
    given, rank = call.arguments, rank_of(call.arguments["data"])
    if given.get("select_last_index") or (rank is None and given["axis"] < 0):
        return None
    axis = wrap(given["axis"], rank or 0)
    return Reading({"x": given["data"]}, {"axis": axis, "keepdims": bool(given["keepdims"])})


def _attributes(node: Node) -> dict[str, int]:
    return {"axis": integer(node, "axis"), "keepdims": int(bool(node.attributes["keepdims"]))}


def _write(target: str) -> Any:
    def write(node: Node) -> FxCall:
        axis, keepdims = integer(node, "axis"), bool(node.attributes["keepdims"])
        return fx_call(target, tensor(node, "x"), axis, keepdims)

    return write


def _index(name: str, op_type: str, target: str, doc: str) -> Operator:
    """A row for the place of an extreme number."""

    def write_onnx(node: Node, emitter: OnnxEmitter) -> None:
        emit_one(op_type, node, emitter, "x", **_attributes(node))

    return Operator(
        name, doc, X, _AXIS, sample=_sample_axis,
        fx=FxForm((target,), _read, _write(target)),
        onnx=OnnxForm((op_type,), _read_index_onnx, write_onnx),
    )  # fmt: skip


def _with_index(name: str, reduction: str, place: str, target: str, doc: str) -> Operator:
    """A row for an extreme number and its place."""

    def write_onnx(node: Node, emitter: OnnxEmitter) -> None:
        x, (y, indices), attributes = tensor(node, "x"), node.outputs, _attributes(node)
        keepdims = {"keepdims": attributes["keepdims"]}
        if emitter.opset < 18:
            axes = {"axes": (attributes["axis"],)}
            emitter.emit(reduction, [x], {**axes, **keepdims}, outputs=[y])
        else:
            listed = emitter.constant(np.array([attributes["axis"]]), f"{y.name}_axes")
            emitter.emit(reduction, [x, listed], keepdims, outputs=[y])
        emitter.emit(place, [x], attributes, outputs=[indices])

    return Operator(
        name, doc, X, _AXIS, outputs=("y", "indices"), sample=_sample_axis,
        fx=FxForm((target,), _read, _write(target)),
        onnx=written_as_others(write_onnx),
    )  # fmt: skip


def _sample_axis(rng: Rng) -> Sample:
    attributes = {"axis": int(rng.integers(3)), "keepdims": bool(rng.integers(2))}
    if rng.random() < 0.5:  # small whole numbers, many of them equal: the first one counts
        return Sample({"x": rng.integers(0, 3, (2, 3, 4))}, attributes)
    return Sample(sample_x(rng).operands, attributes)


# -- several of them -----------------------------------------------------------------------------

_TOPK: dict[str, Any] = {"axis": -1, "largest": True, "sorted": True}


def _read_topk(call: Call) -> Reading | None:
    given, x, k = call.arguments, call.arguments["self"], sized(call.arguments["k"])
    rank = rank_of(x)
    if not rank or k is None:
        return None
    flags = {name: bool(given[name]) for name in ("largest", "sorted")}
    k = k if isinstance(k, Value) else k.reshape(1)
    return Reading({"x": x, "k": k}, {"axis": wrap(given["dim"], rank), **flags})


def _write_topk(node: Node) -> FxCall:
    k, flags = tensor(node, "k"), [bool(node.attributes[name]) for name in ("largest", "sorted")]
    count = k if k.data is None else int(k.data.reshape(-1)[0])
    axis = integer(node, "axis")
    return fx_call("aten.topk.default", tensor(node, "x"), count, axis, *flags)


def _read_topk_onnx(call: Call) -> Reading | None:
    given, rank = call.arguments, rank_of(call.arguments["X"])
    if rank is None and given["axis"] != -1:
        return None
    axis = wrap(given["axis"], rank) if rank is not None else -1
    flags = {name: bool(given[name]) for name in ("largest", "sorted")}
    return Reading({"x": given["X"], "k": given["K"]}, {"axis": axis, **flags})


def _write_topk_onnx(node: Node, emitter: OnnxEmitter) -> None:
    """ONNX takes how many as a vector of one number; a symbolic size is a number."""
    x, k = tensor(node, "x"), tensor(node, "k")
    count: Value | str = k
    if k.type.dtype == "sym":
        axis = emitter.constant(np.array([0]), f"{node.outputs[0].name}_dims")
        count = emitter.temp(f"{node.outputs[0].name}_k")
        emitter.emit("Unsqueeze", [k, axis], outputs=[count])
    flags = {name: int(bool(node.attributes[name])) for name in ("largest", "sorted")}
    axis_only = {"axis": integer(node, "axis")}
    emitter.emit("TopK", [x, count], {**axis_only, **flags}, outputs=node.outputs)


def _sample_topk(rng: Rng) -> Sample:
    """Only one of them where the order is free: else both libraries may be right and differ."""
    ordered = bool(rng.random() < 0.7)
    k = np.array([int(rng.integers(1, 4)) if ordered else 1])
    attributes = {"axis": int(rng.integers(3)), "largest": bool(rng.integers(2)), "sorted": ordered}
    return Sample({"x": normal(rng, 3, 4, 5), "k": k}, attributes, frozenset({"k"}))


OPERATORS = (
    _index("nn.argmax", "ArgMax", "aten.argmax.default",
           "The index of the first largest number along an axis."),
    _index("nn.argmin", "ArgMin", "aten.argmin.default",
           "The index of the first smallest number along an axis."),
    _with_index("nn.max_with_index", "ReduceMax", "ArgMax", "aten.max.dim",
                "The largest number along an axis, and the index of the first such one."),
    _with_index("nn.min_with_index", "ReduceMin", "ArgMin", "aten.min.dim",
                "The smallest number along an axis, and the index of the first such one."),
    Operator(
        "nn.topk", "The k (i64) largest numbers along an axis, or the smallest, and their indices; "
        "in any order where they are not sorted.", (OperandSpec("x"), OperandSpec("k")), _TOPK,
        outputs=("y", "indices"), sample=_sample_topk,
        fx=FxForm(("aten.topk.default",), _read_topk, _write_topk),
        onnx=OnnxForm(("TopK",), _read_topk_onnx, _write_topk_onnx),
    ),
)  # fmt: skip
