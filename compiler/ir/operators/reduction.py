"""Reductions along axes."""

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
    ints,
    rank_of,
    sample_x,
    tensor,
    wrap,
)
from sparqc.ir.vocabulary.operator import (
    REQUIRED,
    Call,
    FxCall,
    FxForm,
    OnnxEmitter,
    OnnxForm,
    Operator,
    Reading,
    Sample,
)
from sparqc.ir.vocabulary.traits import Trait


def axes_from_front(axes: Any, rank: int | None) -> tuple[int, ...] | None:
    """Axes counted from the front, in order; all of them where none are named."""
    if rank is None or isinstance(axes, Value):
        return None
    if axes is None or axes in ((), []):
        return tuple(range(rank))
    axes = (axes,) if isinstance(axes, int) else axes
    return tuple(sorted(wrap(int(axis), rank) for axis in axes))


def _read(call: Call) -> Reading | None:
    given, x = call.arguments, call.arguments["self"]
    if given.get("ord", 2) != 2:
        return None
    axes = axes_from_front(given.get("dim"), rank_of(x))
    if axes is None or x.type.dtype != call.types[0].dtype:
        return None
    return Reading({"x": x}, {"axes": axes, "keepdims": bool(given.get("keepdim"))})


def _list(node: Node) -> list[int]:
    return list(ints(node, "axes"))


def _reduce(
    name: str, doc: str, op_type: str, targets: tuple[str, ...], *traits: Trait, input_since: int
) -> Operator:
    """A row; the axes are a constant input from opset `input_since` on, an attribute before."""

    def write_fx(node: Node) -> FxCall:
        norm = [2] if op_type == "ReduceL2" else []
        keepdims = node.attributes["keepdims"]
        return fx_call(targets[0], tensor(node, "x"), *norm, _list(node), keepdims)

    def read_onnx(call: Call) -> Reading | None:
        given, x = call.arguments, call.arguments["data"]
        if isinstance(given.get("axes"), Value) and axes_of(call) is None:
            return None
        axes = axes_of(call)
        if not axes and given.get("noop_with_empty_axes"):
            return None
        axes = axes_from_front(axes, rank_of(x))
        if axes is None:
            return None
        return Reading({"x": x}, {"axes": axes, "keepdims": bool(given["keepdims"])})

    def write_onnx(node: Node, emitter: OnnxEmitter) -> None:
        keepdims = int(bool(node.attributes["keepdims"]))
        if emitter.opset < input_since:
            emit_one(op_type, node, emitter, "x", axes=_list(node), keepdims=keepdims)
            return
        x = tensor(node, "x")
        axes = emitter.constant(np.array(_list(node), np.int64), f"{node.output.name}_axes")
        emitter.emit(op_type, [x, axes], {"keepdims": keepdims}, outputs=node.outputs)

    return Operator(
        name, doc, X, {"axes": REQUIRED, "keepdims": True}, sample=_sample,
        traits=("reduces", *traits),
        fx=FxForm(targets, _read, write_fx),
        onnx=OnnxForm((op_type,), read_onnx, write_onnx),
    )  # fmt: skip


def _sample(rng: Rng) -> Sample:
    axes = [(1,), (0, 2), (1, 2), (0, 1, 2)][int(rng.integers(4))]
    return Sample(sample_x(rng).operands, {"axes": axes, "keepdims": bool(rng.integers(2))})


OPERATORS = (
    _reduce("nn.reduce_mean", "The mean along axes.", "ReduceMean",
            ("aten.mean.dim", "aten.mean.default"), "homogeneous", "monotone", input_since=18),
    _reduce("nn.reduce_sum", "The sum along axes.", "ReduceSum",
            ("aten.sum.dim_IntList", "aten.sum.default"), "homogeneous", "monotone",
            input_since=13),
    _reduce("nn.reduce_max", "The largest number along axes.", "ReduceMax",
            ("aten.amax.default", "aten.max.default", "aten.max.dim"), "selects",
            input_since=18),
    _reduce("nn.reduce_min", "The smallest number along axes.", "ReduceMin",
            ("aten.amin.default", "aten.min.default", "aten.min.dim"), "selects",
            input_since=18),
    _reduce("nn.reduce_l2", "The square root of the sum of squares along axes.", "ReduceL2",
            ("aten.linalg_vector_norm.default",), "homogeneous", "nonnegative", input_since=18),
)  # fmt: skip
