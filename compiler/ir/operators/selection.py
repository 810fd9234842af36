"""Choosing numbers: by index, and by condition."""

from __future__ import annotations

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    FLOATS,
    Rng,
    emit_one,
    fx_call,
    integer,
    normal,
    number,
    rank_of,
    tensor,
    tensor_operand,
    wrap,
)
from sparqc.ir.vocabulary.operator import (
    Call,
    FxCall,
    FxForm,
    OnnxForm,
    OperandSpec,
    Operator,
    Reading,
    Sample,
)

# -- gather --------------------------------------------------------------------------------------


def _read_gather(call: Call) -> Reading | None:
    """select takes one index, index_select a vector, embedding and index[…] any shape."""
    given, packet = call.arguments, call.target.split(".")[1]
    if packet == "embedding":
        operands, axis = {"x": given["weight"], "indices": given["indices"]}, 0
    elif packet == "index":
        return _read_index(call)
    elif packet == "repeat_interleave":
        return _read_repeated(call)
    else:
        rank = rank_of(given["self"])
        if rank is None or not isinstance(given["index"], int | Value):
            return None
        operands, axis = {"x": given["self"], "indices": given["index"]}, wrap(given["dim"], rank)
        if packet == "index_select" and rank_of(given["index"]) != 1:
            return None  # one index of no axes keeps the axis all the same
    indices = operands["indices"]
    if not (isinstance(indices, Value) and indices.type.dtype == "i32"):
        operands["indices"] = tensor_operand(indices, "i64")
    if operands["indices"] is None:
        return None  # symbolic ones
    return Reading(operands, {"axis": axis})


def _read_index(call: Call) -> Reading | None:
    """x[:, :, i]: one tensor of indices; several at once, and masks, are another operator."""
    indices = call.arguments["indices"]
    tensors = [(axis, i) for axis, i in enumerate(indices) if i is not None]
    if len(tensors) != 1 or tensors[0][1].type.dtype not in ("i64", "i32"):
        return None
    axis, index = tensors[0]
    return Reading({"x": call.arguments["self"], "indices": index}, {"axis": axis})


def _read_repeated(call: Call) -> Reading | None:
    """repeat_interleave: every index several times, where it is known how many there are."""
    x, rank = call.arguments["self"], rank_of(call.arguments["self"])
    axis, times = call.arguments["dim"], call.arguments["repeats"]
    size = x.shape[axis] if rank and isinstance(axis, int) else None
    if not isinstance(size, int) or not isinstance(times, int):
        return None
    operands = {"x": x, "indices": np.repeat(np.arange(size), times)}
    return Reading(operands, {"axis": wrap(axis, rank or 0)})


def _write_gather(node: Node) -> FxCall:
    x, indices, axis = tensor(node, "x"), tensor(node, "indices"), integer(node, "axis")
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
    dtype = str(rng.choice(["int64", "int32"])) if shape else "int64"
    indices = np.asarray(rng.integers(0, 4, shape), dtype)
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
    condition, a, b = (tensor(node, slot) for slot in ("condition", "a", "b"))
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
        "nn.gather", "The slices of x at these indices along an axis; an embedding is one.",
        (OperandSpec("x"), OperandSpec("indices")), {"axis": 0},
        traits=("moves",), sample=_sample_gather,
        fx=FxForm(("aten.select.int", "aten.index_select.default", "aten.embedding.default",
                   "aten.index.Tensor", "aten.repeat_interleave.self_int"),
                  _read_gather, _write_gather),
        onnx=OnnxForm(("Gather",), _read_gather_onnx, lambda n, e: emit_one(
            "Gather", n, e, "x", "indices", axis=n.attributes["axis"])),
    ),
    Operator(
        "nn.where", "a where the condition holds, b elsewhere.", _WHERE,
        traits=("elementwise",), sample=_sample_where,
        fx=FxForm(("aten.where.self", "aten.where.ScalarSelf", "aten.where.ScalarOther",
                   "aten.masked_fill.Scalar", "aten.masked_fill_.Scalar",
                   "aten.masked_fill.Tensor"), _read_where, _write_where),
        onnx=OnnxForm(("Where",), _read_where_onnx,
                      lambda n, e: emit_one("Where", n, e, "condition", "a", "b")),
    ),
)  # fmt: skip
