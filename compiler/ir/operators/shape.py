"""Operators that change the shape and move no number: reshape, flatten, transpose, squeeze, …"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Node, Value
from sparqc.ir.types import Shape
from sparqc.ir.vocabulary.forms import (
    Rng,
    X,
    axes_of,
    emit_one,
    fx_call,
    integer,
    ints,
    normal,
    numbers,
    rank_of,
    static_ints,
    tensor,
    wrap,
)
from sparqc.ir.vocabulary.operator import (
    REQUIRED,
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

XSHAPE = (OperandSpec("x"), OperandSpec("shape"))


def constant_ints(node: Node, slot: str) -> list[int]:
    """The numbers of a constant operand, as FX wants them."""
    value = tensor(node, slot)
    if value.data is None:
        raise SparqcError(f"{node.output.name}: the {slot} of {node.op} must be a constant here")
    return [int(i) for i in value.data.reshape(-1)]


def int64(*numbers: int) -> Array:
    """A vector of i64."""
    return np.array(numbers, np.int64)


# -- reshape and flatten -------------------------------------------------------------------------


def _read_reshape(call: Call) -> Reading | None:
    """The shape of the result, with -1 for the one dimension that may be symbolic."""
    shape = call.types[0].shape
    if shape is None or sum(isinstance(d, str) for d in shape) > 1:
        return None
    target = int64(*(-1 if isinstance(d, str) else d for d in shape))
    return Reading({"x": call.arguments["self"], "shape": target})


def _write_reshape(node: Node) -> FxCall:
    return fx_call("aten.reshape.default", tensor(node, "x"), constant_ints(node, "shape"))


def _evaluate_reshape(operands: Mapping[str, Any], _: Mapping[str, Any]) -> Sequence[Array]:
    x, shape = operands["x"], [int(d) for d in operands["shape"]]
    return (x.reshape([x.shape[i] if d == 0 else d for i, d in enumerate(shape)]),)


def _read_reshape_onnx(call: Call) -> Reading | None:
    shape = call.constant("shape")
    if call.arguments.get("allowzero") and (shape is None or not shape.all()):
        return None  # a 0 that means zero, not "as before"
    return Reading({"x": call.arguments["data"], "shape": call.arguments["shape"]})


def _read_flatten(call: Call) -> Reading | None:
    """Everything behind the first dimension in one: flatten(1), view(n, -1), reshape(n, -1)."""
    x, shape = call.arguments["self"], call.types[0].shape
    if shape is None or x.shape is None or len(x.shape) < 2 or len(shape) != 2:
        return None
    return Reading({"x": x}, {"axis": 1}) if shape[0] == x.shape[0] else None


def _write_flatten(node: Node) -> FxCall:
    x, axis = tensor(node, "x"), integer(node, "axis")
    if axis == 0:
        return fx_call("aten.reshape.default", x, [1, -1])
    rows: Any = x if axis == 1 else fx_call("aten.flatten.using_ints", x, 0, axis - 1)
    return fx_call("aten.flatten.using_ints", rows, 1)


def _read_flatten_onnx(call: Call) -> Reading | None:
    x, axis = call.arguments["input"], call.arguments["axis"]
    if axis < 0 and rank_of(x) is None:
        return None
    return Reading({"x": x}, {"axis": wrap(axis, rank_of(x) or 0)})


def _evaluate_flatten(
    operands: Mapping[str, Any], attributes: Mapping[str, Any]
) -> Sequence[Array]:
    x, axis = operands["x"], attributes["axis"]
    return (x.reshape(prod(x.shape[:axis]), -1),)


# -- transpose -----------------------------------------------------------------------------------


def _read_permute(call: Call) -> Reading | None:
    perm = static_ints(call.arguments["dims"])
    if perm is None:
        return None
    x = call.arguments["self"]
    return Reading({"x": x}, {"perm": tuple(wrap(p, len(perm)) for p in perm)})


def _read_swap(call: Call) -> Reading | None:
    """transpose(i, j), and t() of a matrix."""
    given, rank = call.arguments, rank_of(call.arguments["self"])
    if rank is None or (rank < 2 and call.target == "aten.t.default"):
        return None
    one, other = given.get("dim0", given.get("axis0", 0)), given.get("dim1", given.get("axis1", 1))
    first, second = wrap(one, rank), wrap(other, rank)
    perm = list(range(rank))
    perm[first], perm[second] = second, first
    return Reading({"x": given["self"]}, {"perm": tuple(perm)})


def _read_transpose(call: Call) -> Reading | None:
    return _read_permute(call) if call.target == "aten.permute.default" else _read_swap(call)


def _write_transpose(node: Node) -> FxCall:
    return fx_call("aten.permute.default", tensor(node, "x"), list(ints(node, "perm")))


def _read_transpose_onnx(call: Call) -> Reading | None:
    x = call.arguments["data"]
    perm = call.arguments.get("perm")
    if perm is None and rank_of(x) is None:
        return None
    return Reading({"x": x}, {"perm": tuple(perm or reversed(range(rank_of(x) or 0)))})


# -- squeeze and unsqueeze -----------------------------------------------------------------------


def _ones(shape: Shape | None) -> tuple[int, ...] | None:
    """The axes that squeeze() without axes removes."""
    if shape is None or any(isinstance(d, str) for d in shape):
        return None
    return tuple(axis for axis, size in enumerate(shape) if size == 1)


def _read_squeeze(call: Call) -> Reading | None:
    x = call.arguments["self"]
    dim = call.arguments.get("dim")
    return _squeeze(x, (dim,) if isinstance(dim, int) else dim)


def _squeeze(x: Value, axes: Sequence[int] | None) -> Reading | None:
    """torch's squeeze passes over axes whose size is not 1; those calls stay raw."""
    axes = _ones(x.shape) if axes is None else axes
    if axes is None or x.shape is None:
        return None
    normal_axes = tuple(sorted(wrap(axis, len(x.shape)) for axis in axes))
    if any(x.shape[axis] != 1 for axis in normal_axes):
        return None
    return Reading({"x": x}, {"axes": normal_axes})


def _read_squeeze_onnx(call: Call) -> Reading | None:
    axes, x = axes_of(call), call.arguments["data"]
    if axes is None and call.arguments.get("axes") is not None:
        return None
    if axes is None or rank_of(x) is None:
        return _squeeze(x, axes)
    return Reading({"x": x}, {"axes": tuple(sorted(wrap(a, rank_of(x) or 0) for a in axes))})


def _read_unsqueeze(call: Call) -> Reading | None:
    x, dim = call.arguments["self"], call.arguments["dim"]
    rank = rank_of(x)
    if rank is None or isinstance(dim, Value):
        return None
    return Reading({"x": x}, {"axes": (wrap(dim, rank + 1),)})


def _read_unsqueeze_onnx(call: Call) -> Reading | None:
    axes, x = axes_of(call), call.arguments["data"]
    rank = rank_of(x)
    if axes is None or (rank is None and min(axes) < 0):
        return None
    axes = tuple(sorted(wrap(axis, (rank or 0) + len(axes)) for axis in axes))
    return Reading({"x": x}, {"axes": axes})


def _list(node: Node) -> list[int]:
    return list(ints(node, "axes"))


def _write_unsqueeze(node: Node) -> FxCall:
    call: Any = tensor(node, "x")
    for axis in sorted(_list(node)):
        call = fx_call("aten.unsqueeze.default", call, axis)
    return call  # type: ignore[no-any-return]


def _axes_onnx(op_type: str) -> Any:
    """The axes are a constant input from opset 13 on, an attribute before."""

    def write(node: Node, emitter: OnnxEmitter) -> None:
        if emitter.opset < 13:
            emit_one(op_type, node, emitter, "x", axes=_list(node))
            return
        x = tensor(node, "x")
        # Not "…_axes": onnxruntime 1.23 gives constants of its own such names, and then fails.
        axes = emitter.constant(int64(*_list(node)), f"{node.output.name}_dims")
        emitter.emit(op_type, [x, axes], outputs=node.outputs)

    return write


# -- samples -------------------------------------------------------------------------------------


def _sample_reshape(rng: Rng) -> Sample:
    shape = [int64(2, 12), int64(-1, 4), int64(4, 3, -1), int64(24)][int(rng.integers(4))]
    return Sample({"x": normal(rng, 2, 3, 4), "shape": shape}, {}, frozenset({"shape"}))


def _around_reshape(rng: Rng, given: Given) -> Sample | None:
    """A shape of up to four sizes, at times with a size that is inferred or copied."""
    x = given.shape("x")
    x = (2, 3, 4) if x is None else x
    sizes = _factors(rng, prod(x))
    place = int(rng.integers(len(sizes)))
    if rng.random() < 0.4:
        sizes[place] = -1
    elif place < len(x) and sizes[place] == x[place] and rng.random() < 0.5:
        sizes[place] = 0
    return Sample({"x": normal(rng, *x), "shape": int64(*sizes)}, {}, frozenset({"shape"}))


def _factors(rng: Rng, size: int) -> list[int]:
    """Up to four numbers whose product is `size`."""
    found = []
    for _ in range(int(rng.integers(0, 4))):
        found.append(int(rng.choice([d for d in range(1, size + 1) if size % d == 0])))
        size //= found[-1]
    return [*found, size]


def _around_transpose(rng: Rng, given: Given) -> Sample | None:
    """Any order, at times the one that is there, or one that turns the last two axes."""
    x = given.shape("x")
    x = (2, 3, 4, 5)[: int(rng.integers(2, 5))] if x is None else x
    order = tuple(range(len(x)))
    orders = [order, (*order[:-2], *reversed(order[-2:])), tuple(reversed(order))]
    perm = orders[int(rng.integers(3))] if rng.random() < 0.5 else rng.permutation(len(x))
    return Sample({"x": normal(rng, *x)}, {"perm": tuple(int(p) for p in perm)})


def _sample_flatten(rng: Rng) -> Sample:
    return Sample({"x": normal(rng, 2, 3, 4, 5)}, {"axis": 1})


def _sample_transpose(rng: Rng) -> Sample:
    perm = tuple(int(p) for p in rng.permutation(4))
    return Sample({"x": normal(rng, 2, 3, 4, 5)}, {"perm": perm})


def _sample_squeeze(rng: Rng) -> Sample:
    axes = [(1,), (3,), (1, 3)][int(rng.integers(3))]
    return Sample({"x": normal(rng, 2, 1, 3, 1)}, {"axes": axes})


def _sample_unsqueeze(rng: Rng) -> Sample:
    return Sample({"x": normal(rng, 2, 3)}, {"axes": (int(rng.integers(3)),)})


OPERATORS = (
    Operator(
        "nn.flatten", "A matrix: the axes in front of `axis` in one, the others in one.", X,
        {"axis": 1}, traits=("view",), sample=_sample_flatten,
        constant_expression=True, evaluate=_evaluate_flatten,
        fx=FxForm(("aten.flatten.using_ints", "aten.view.default", "aten.reshape.default",
                   "aten._unsafe_view.default"), _read_flatten, _write_flatten),
        onnx=OnnxForm(("Flatten",), _read_flatten_onnx,
                      lambda n, e: emit_one("Flatten", n, e, "x", axis=n.attributes["axis"])),
    ),
    Operator(
        "nn.reshape", "The same numbers in another shape (i64); one size may be -1.", XSHAPE,
        traits=("view",), sample=_sample_reshape, around=_around_reshape,
        constant_expression=True, evaluate=_evaluate_reshape,
        fx=FxForm(("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default",
                   "aten.flatten.using_ints", "aten.unflatten.int", "aten.reshape_as.default",
                   "aten.view_as.default"),
                  _read_reshape, _write_reshape),
        onnx=OnnxForm(("Reshape",), _read_reshape_onnx,
                      lambda n, e: emit_one("Reshape", n, e, "x", "shape")),
    ),
    Operator(
        "nn.transpose", "The axes in another order: axis i of y is axis perm[i] of x.", X,
        {"perm": REQUIRED}, traits=("moves",), sample=_sample_transpose,
        around=_around_transpose, constant_expression=True,
        evaluate=lambda o, a: (np.transpose(o["x"], numbers(a["perm"])),),
        fx=FxForm(("aten.permute.default", "aten.transpose.int", "aten.t.default",
                   "aten.swapaxes.default", "aten.swapdims.default"),
                  _read_transpose, _write_transpose),
        onnx=OnnxForm(("Transpose",), _read_transpose_onnx,
                      lambda n, e: emit_one("Transpose", n, e, "x", perm=n.attributes["perm"])),
    ),
    Operator(
        "nn.squeeze", "x without these axes, all of size 1.", X,
        {"axes": REQUIRED}, traits=("view",), sample=_sample_squeeze, constant_expression=True,
        evaluate=lambda o, a: (np.squeeze(o["x"], numbers(a["axes"])),),
        fx=FxForm(("aten.squeeze.dim", "aten.squeeze.dims", "aten.squeeze.default"),
                  _read_squeeze,
                  lambda n: fx_call("aten.squeeze.dims", tensor(n, "x"), _list(n))),
        onnx=OnnxForm(("Squeeze",), _read_squeeze_onnx, _axes_onnx("Squeeze")),
    ),
    Operator(
        "nn.unsqueeze", "x with new axes of size 1 at these places of the result.", X,
        {"axes": REQUIRED}, traits=("view",), sample=_sample_unsqueeze, constant_expression=True,
        evaluate=lambda o, a: (np.expand_dims(o["x"], numbers(a["axes"])),),
        fx=FxForm(("aten.unsqueeze.default",), _read_unsqueeze, _write_unsqueeze),
        onnx=OnnxForm(("Unsqueeze",), _read_unsqueeze_onnx, _axes_onnx("Unsqueeze")),
    ),
)  # fmt: skip
