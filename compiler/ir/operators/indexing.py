"""Choosing numbers one by one: by an index for each, by several indices at once, and by masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    Rng,
    emit_one,
    fx_call,
    integer,
    ints,
    normal,
    rank_of,
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

# -- an index for each number --------------------------------------------------------------------


def _read_elements(call: Call) -> Reading | None:
    given, x, indices = call.arguments, call.arguments["self"], call.arguments["index"]
    if not rank_of(x) or rank_of(indices) != rank_of(x) or indices.type.dtype != "i64":
        return None
    return Reading({"x": x, "indices": indices}, {"axis": wrap(given["dim"], rank_of(x) or 0)})


def _write_elements(node: Node) -> FxCall:
    x, indices, axis = tensor(node, "x"), tensor(node, "indices"), integer(node, "axis")
    return fx_call("aten.gather.default", x, axis, indices)


def _read_elements_onnx(call: Call) -> Reading | None:
    given, rank = call.arguments, rank_of(call.arguments["data"])
    if given["axis"] < 0 and rank is None:
        return None
    operands = {"x": given["data"], "indices": given["indices"]}
    return Reading(operands, {"axis": wrap(given["axis"], rank or 0)})


def _sample_elements(rng: Rng) -> Sample:
    axis = int(rng.integers(3))
    indices = rng.integers(0, 2, [(2, 3, 4), (1, 2, 4), (2, 2, 2)][int(rng.integers(3))])
    operands = {"x": normal(rng, 2, 3, 4), "indices": indices}
    return Sample(operands, {"axis": axis})


# -- several indices at once ---------------------------------------------------------------------


def _read_index(call: Call) -> Reading | None:
    """x[i, j], x[:, i, :, j], x[mask]: the tensors, and the axes that they stand for.

    A mask stands for as many axes as it has; torch counts these on the list of the indices.
    """
    x, given = call.arguments["self"], call.arguments["indices"]
    found = [(place, index) for place, index in enumerate(given) if index is not None]
    if rank_of(x) is None or any(rank_of(index) is None for _, index in found) or not found:
        return None
    axes, skipped = [], 0
    for place, index in found:
        axes.append(place + skipped)
        if index.type.dtype == "bool":
            skipped += (rank_of(index) or 0) - 1
        elif index.type.dtype not in ("i64", "i32"):
            return None  # bytes are masks in old models
    if any(not rank_of(index) for _, index in found):
        return None  # x[True]; beside others torch tells a wrong shape for an index of no axes
    return Reading({"x": x, "indices": tuple(i for _, i in found)}, {"axes": tuple(axes)})


def _write_index(node: Node) -> FxCall:
    """The list has a gap for each axis that no tensor stands for."""
    listed: list[Value | None] = []
    covered = 0
    for axis, index in zip(ints(node, "axes"), tensors(node, "indices"), strict=True):
        listed += [None] * (axis - covered)
        listed.append(index)
        covered = axis + _width(index)
    return fx_call("aten.index.Tensor", tensor(node, "x"), listed)


def _width(index: Value) -> int:
    """How many axes an index stands for."""
    return (rank_of(index) or 1) if index.type.dtype == "bool" else 1


def _write_index_onnx(node: Node, emitter: OnnxEmitter) -> None:
    """A GatherND over the axes, which are moved to the front for it; a Gather over a single one."""
    x, given, hint = tensor(node, "x"), tensors(node, "indices"), node.output.name
    axes = [
        axis + step
        for axis, index in zip(ints(node, "axes"), given, strict=True)
        for step in range(_width(index))
    ]
    vectors = [v for index in given for v in _vectors(index, emitter, hint)]
    if len(axes) == 1:
        emitter.emit("Gather", [x, vectors[0]], {"axis": axes[0]}, outputs=node.outputs)
        return
    rank, depth = rank_of(x) or 0, max(_depth(index) for index in given)
    others = [axis for axis in range(rank) if axis not in axes]
    transposed = _transposed(x, [*axes, *others], emitter, hint)
    indices = _stacked(given, vectors, emitter, hint)
    # Indices of axes side by side leave theirs in place; else what they choose comes first.
    first = axes[0] if axes == list(range(axes[0], axes[-1] + 1)) else 0
    if first == 0:
        emitter.emit("GatherND", [transposed, indices], outputs=node.outputs)
        return
    gathered = emitter.temp(f"{hint}_gathered")
    emitter.emit("GatherND", [transposed, indices], outputs=[gathered])
    chosen, behind = range(depth), range(depth + first, depth + len(others))
    perm = (*range(depth, depth + first), *chosen, *behind)
    emitter.emit("Transpose", [gathered], {"perm": perm}, outputs=node.outputs)


def _depth(index: Value) -> int:
    """How many axes an index has once a mask is a list of places."""
    return 1 if index.type.dtype == "bool" else rank_of(index) or 0


def _transposed(x: Value, perm: Sequence[int], emitter: OnnxEmitter, hint: str) -> Value | str:
    if list(perm) == sorted(perm):
        return x
    transposed = emitter.temp(f"{hint}_front")
    emitter.emit("Transpose", [x], {"perm": tuple(perm)}, outputs=[transposed])
    return transposed


def _vectors(index: Value, emitter: OnnxEmitter, hint: str) -> list[Value | str]:
    """The indices of each axis that an index stands for, in i64."""
    if index.type.dtype == "i64":
        return [index]
    if index.type.dtype == "i32":
        cast = emitter.temp(f"{hint}_cast")
        emitter.emit("Cast", [index], {"to": 7}, outputs=[cast])
        return [cast]
    places = emitter.temp(f"{hint}_places")
    emitter.emit("NonZero", [index], outputs=[places])
    rows: list[Value | str] = []
    for row in range(_width(index)):
        number = emitter.constant(np.array(row), f"{hint}_row")
        rows.append(emitter.temp(f"{hint}_places"))
        emitter.emit("Gather", [places, number], {"axis": 0}, outputs=[rows[-1]])
    return rows


def _stacked(
    given: Sequence[Value], vectors: Sequence[Value | str], emitter: OnnxEmitter, hint: str
) -> str:
    """The indices side by side on a new last axis, all of one shape."""
    masks = any(index.type.dtype == "bool" for index in given)
    if len({index.shape for index in given}) > 1 or (masks and len(given) > 1):
        vectors = _broadcast(vectors, emitter, hint)
    last = emitter.constant(np.array([-1]), f"{hint}_dims")
    columns = [emitter.temp(f"{hint}_column") for _ in vectors]
    for vector, column in zip(vectors, columns, strict=True):
        emitter.emit("Unsqueeze", [vector, last], outputs=[column])
    indices = emitter.temp(f"{hint}_indices")
    emitter.emit("Concat", columns, {"axis": -1}, outputs=[indices])
    return indices


def _broadcast(
    vectors: Sequence[Value | str], emitter: OnnxEmitter, hint: str
) -> list[Value | str]:
    """The indices stretched to the shape of their sum."""
    total: Value | str = vectors[0]
    for vector in vectors[1:]:
        added = emitter.temp(f"{hint}_sum")
        emitter.emit("Add", [total, vector], outputs=[added])
        total = added
    shape = emitter.temp(f"{hint}_shape")
    emitter.emit("Shape", [total], outputs=[shape])
    stretched: list[Value | str] = []
    for vector in vectors:
        stretched.append(emitter.temp(f"{hint}_stretched"))
        emitter.emit("Expand", [vector, shape], outputs=[stretched[-1]])
    return stretched


def _indices(rng: Rng, *shapes: tuple[int, ...], dtype: str = "int64") -> list[Any]:
    """Indices into axes of at least 3, counted from the front and from the back."""
    return [np.asarray(rng.integers(-3, 3, shape), dtype) for shape in shapes]


def _sample_index(rng: Rng) -> Sample:
    cases = (
        (_indices(rng, (2,), (2,)), (0, 1)),
        (_indices(rng, (2, 1), (5,)), (1, 2)),
        (_indices(rng, (2,), (3, 2), (1,)), (0, 2, 3)),
        ([*_indices(rng, (2, 1)), *_indices(rng, (2,), dtype="int32")], (1, 3)),
    )
    given, axes = cases[int(rng.integers(len(cases)))]
    return Sample({"x": normal(rng, 3, 4, 3, 4), "indices": given}, {"axes": axes})


# -- ONNX's GatherND -----------------------------------------------------------------------------


def _read_nd_onnx(call: Call) -> Reading | None:
    given = call.arguments
    operands = {"x": given["data"], "indices": given["indices"]}
    return Reading(operands, {"batch_dims": given["batch_dims"]})


def _write_nd_onnx(node: Node, emitter: OnnxEmitter) -> None:
    emit_one("GatherND", node, emitter, "x", "indices", batch_dims=node.attributes["batch_dims"])


def _sample_nd(rng: Rng) -> Sample:
    batch_dims = int(rng.integers(2))
    operands = {"x": normal(rng, 2, 3, 4), "indices": rng.integers(0, 2, (2, 5, 2))}
    return Sample(operands, {"batch_dims": batch_dims})


_XI = (OperandSpec("x"), OperandSpec("indices"))

OPERATORS = (
    Operator(
        "nn.gather_elements", "The numbers of x whose place along an axis is the index that stands "
        "in their place.", _XI, {"axis": 0}, traits=("moves",), sample=_sample_elements,
        fx=FxForm(("aten.gather.default",), _read_elements, _write_elements),
        onnx=OnnxForm(("GatherElements",), _read_elements_onnx, lambda n, e: emit_one(
            "GatherElements", n, e, "x", "indices", axis=n.attributes["axis"])),
    ),
    Operator(
        "nn.index", "x at several indices, which stand for these axes and are broadcast; a mask "
        "stands for as many axes as it has, from its own on.",
        (OperandSpec("x"), OperandSpec("indices", variadic=True)), {"axes": REQUIRED},
        traits=("moves",), sample=_sample_index,
        fx=FxForm(("aten.index.Tensor",), _read_index, _write_index),
        onnx=written_as_others(_write_index_onnx),
    ),
    Operator(
        "nn.gather_nd", "The slices of x at the indices along the last axis, one for each of its "
        "first axes, batch axes aside.", _XI, {"batch_dims": 0},
        traits=("moves",), sample=_sample_nd,
        onnx=OnnxForm(("GatherND",), _read_nd_onnx, _write_nd_onnx),
    ),
)  # fmt: skip
