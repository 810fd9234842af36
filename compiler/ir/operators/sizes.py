"""Symbolic sizes: taking them from tensors, computing with them, and shaping tensors by them.

In PyTorch they are Python integers, in ONNX i64 scalars.  Shapes with at most one symbolic size
need none of this: they are constants with a -1.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    Rng,
    X,
    fx_call,
    normal,
    number,
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
    OperandSpec,
    Operator,
    Reading,
    Sample,
)

AB = (OperandSpec("a"), OperandSpec("b"))
XSIZES = (OperandSpec("x"), OperandSpec("sizes", variadic=True))


# -- the size of an axis -------------------------------------------------------------------------


def _read_size(call: Call) -> Reading | None:
    x, axis, rank = call.arguments["self"], call.arguments["dim"], rank_of(call.arguments["self"])
    return None if rank is None else Reading({"x": x}, {"axis": wrap(axis, rank)})


def _write_size(node: Node) -> FxCall:
    return fx_call("aten.sym_size.int", tensor(node, "x"), node.attributes["axis"])


def _write_size_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x, hint = tensor(node, "x"), node.output.name
    shape = emitter.temp(f"{hint}_shape")
    axis = emitter.constant(np.array(node.attributes["axis"], np.int64), f"{hint}_axis")
    emitter.emit("Shape", [x], outputs=[shape])
    emitter.emit("Gather", [shape, axis], {"axis": 0}, outputs=node.outputs)


# -- arithmetic ----------------------------------------------------------------------------------


def sized(item: Any) -> Any:
    """A size as an operand: a symbolic one as it is, a number as a constant."""
    if isinstance(item, bool) or not isinstance(item, int | Value):
        return None
    return np.array(item, np.int64) if isinstance(item, int) else item


def sized_list(items: Any) -> list[Any] | None:
    """Sizes as operands; None where one is no size."""
    operands = [sized(item) for item in items] if isinstance(items, list | tuple) else [None]
    return None if any(o is None for o in operands) else operands


def _plain(node: Node, slot: str) -> Any:
    given = number(node, slot)
    return tensor(node, slot) if given is None else given


def _arithmetic(
    name: str, function: Callable[[Any, Any], Any], op_type: str, doc: str, *, swaps: bool = False
) -> Operator:
    """A row for one operator of Python's integers."""

    def read(call: Call) -> Reading | None:
        operands = {slot: sized(call.arguments[slot]) for slot in ("a", "b")}
        return None if any(o is None for o in operands.values()) else Reading(operands)

    def write(node: Node) -> FxCall:
        return FxCall(function, (_plain(node, "a"), _plain(node, "b")))

    def write_onnx(node: Node, emitter: OnnxEmitter) -> None:
        a, b = tensor(node, "a"), tensor(node, "b")
        emitter.emit(op_type, [a, b], outputs=node.outputs)

    return Operator(
        f"sym.{name}", doc, AB, commutes=(("a", "b"),) if swaps else (), sample=_sample_pair,
        fx=FxForm((f"sym.{name}",), read, write), onnx=written_as_others(write_onnx),
    )  # fmt: skip


# -- shaping by sizes ----------------------------------------------------------------------------


def _read_to_sizes(call: Call) -> Reading | None:
    sizes = sized_list(call.arguments.get("size", call.arguments.get("shape")))
    return None if sizes is None else Reading({"x": call.arguments["self"], "sizes": sizes})


def plain_sizes(sizes: Sequence[Value]) -> list[Any]:
    """Sizes as a torch call takes them: the constant ones as numbers."""
    return [s if s.data is None else int(s.data) for s in sizes]


def _writes(target: str) -> Callable[[Node], FxCall]:
    def write(node: Node) -> FxCall:
        return fx_call(target, tensor(node, "x"), plain_sizes(tensors(node, "sizes")))

    return write


def size_vector(sizes: Sequence[Value], emitter: OnnxEmitter, hint: str, keep: int = -1) -> str:
    """The sizes as one i64 vector, in which `keep` stands for -1."""
    axis = emitter.constant(np.array([0], np.int64), f"{hint}_axis")
    parts: list[Value | str | None] = []
    for size in sizes:
        if size.data is not None:
            kept = keep if size.data == -1 else int(size.data)
            parts.append(emitter.constant(np.array([kept], np.int64), hint))
        else:
            parts.append(emitter.temp(hint))
            emitter.emit("Unsqueeze", [size, axis], outputs=[str(parts[-1])])
    shape = emitter.temp(hint)
    emitter.emit("Concat", parts, {"axis": 0}, outputs=[shape])
    return shape


def _writes_onnx(op_type: str, keep: int) -> Callable[[Node, OnnxEmitter], None]:
    def write(node: Node, emitter: OnnxEmitter) -> None:
        x, sizes = tensor(node, "x"), tensors(node, "sizes")
        shape = size_vector(sizes, emitter, f"{node.output.name}_sizes", keep)
        emitter.emit(op_type, [x, shape], outputs=node.outputs)

    return write


# -- shaping by another tensor --------------------------------------------------------------------


def _write_reshape_as_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x, like, shape = tensor(node, "x"), tensor(node, "like"), emitter.temp(node.output.name)
    emitter.emit("Shape", [like], outputs=[shape])
    emitter.emit("Reshape", [x, shape], outputs=node.outputs)


# -- samples -------------------------------------------------------------------------------------


def _sample_size(rng: Rng) -> Sample:
    return Sample({"x": normal(rng, 2, 3, 4)}, {"axis": int(rng.integers(3))})


def _sample_pair(rng: Rng) -> Sample:
    a, b = (np.array(rng.integers(1, 9), np.int64) for _ in range(2))
    constants = frozenset({"b"}) if rng.random() < 0.5 else frozenset()
    return Sample({"a": a, "b": b}, {}, constants)


def _sample_sizes(*sizes: int) -> Callable[[Rng], Sample]:
    def sample(rng: Rng) -> Sample:
        arrays = [np.array(size, np.int64) for size in sizes]
        operands: dict[str, Any] = {"x": normal(rng, 1, 6), "sizes": arrays}
        return Sample(operands, {}, frozenset({"sizes"}))

    return sample


OPERATORS = (
    Operator(
        "sym.size", "The size of an axis of x.", X, {"axis": REQUIRED}, sample=_sample_size,
        fx=FxForm(("aten.sym_size.int",), _read_size, _write_size),
        onnx=written_as_others(_write_size_onnx),
    ),
    _arithmetic("add", operator.add, "Add", "The sum of two sizes.", swaps=True),
    _arithmetic("sub", operator.sub, "Sub", "The difference of two sizes."),
    _arithmetic("mul", operator.mul, "Mul", "The product of two sizes.", swaps=True),
    _arithmetic("floordiv", operator.floordiv, "Div", "The quotient of two sizes, rounded down."),
    Operator(
        "nn.expand_to", "x broadcast to sizes, some of them symbolic; -1 keeps what is there.",
        XSIZES, traits=("moves",), sample=_sample_sizes(3, -1),
        fx=FxForm(("aten.expand.default",), _read_to_sizes, _writes("aten.expand.default")),
        onnx=written_as_others(_writes_onnx("Expand", 1)),
    ),
    Operator(
        "nn.reshape_to", "The numbers of x in a shape of several symbolic sizes.", XSIZES,
        traits=("view",), sample=_sample_sizes(3, -1),
        fx=FxForm(("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default"),
                  _read_to_sizes, _writes("aten.reshape.default")),
        onnx=written_as_others(_writes_onnx("Reshape", -1)),
    ),
    Operator(
        "nn.reshape_as", "The numbers of x in the shape of another tensor, of several symbolic "
        "sizes.", (OperandSpec("x"), OperandSpec("like")),
        traits=("view",),
        sample=lambda rng: Sample({"x": normal(rng, 2, 2, 6), "like": normal(rng, 2, 3, 4)}),
        fx=FxForm(("aten.reshape_as.default", "aten.view_as.default"),
                  lambda c: Reading({"x": c.arguments["self"], "like": c.arguments["other"]}),
                  lambda n: fx_call("aten.reshape_as.default", tensor(n, "x"), tensor(n, "like"))),
        onnx=written_as_others(_write_reshape_as_onnx),
    ),
)  # fmt: skip
