"""Gated linear units."""

from __future__ import annotations

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    Rng,
    X,
    fx_call,
    integer,
    normal,
    rank_of,
    tensor,
    wrap,
    written_as_others,
)
from sparqc.ir.vocabulary.operator import (
    Call,
    FxForm,
    OnnxEmitter,
    Operator,
    Reading,
    Sample,
)


def _read(call: Call) -> Reading | None:
    x, rank = call.arguments["self"], rank_of(call.arguments["self"])
    return Reading({"x": x}, {"axis": wrap(call.arguments["dim"], rank)}) if rank else None


def _write_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x, axis, hint = tensor(node, "x"), integer(node, "axis"), node.output.name
    kept, gate, opened = (emitter.temp(f"{hint}_{part}") for part in ("kept", "gate", "opened"))
    emitter.emit(
        "Split", [x, _halves(x, axis, emitter, hint)], {"axis": axis}, outputs=[kept, gate]
    )
    emitter.emit("Sigmoid", [gate], outputs=[opened])
    emitter.emit("Mul", [kept, opened], outputs=node.outputs)


def _halves(x: Value, axis: int, emitter: OnnxEmitter, hint: str) -> str:
    """The sizes of the two halves of an axis, as Split takes them."""
    size = x.shape[axis] if x.shape else None
    if isinstance(size, int):
        return emitter.constant(np.array([size // 2, size // 2]), f"{hint}_sizes")
    shape, whole, half, sizes = (emitter.temp(f"{hint}_size") for _ in range(4))
    place = emitter.constant(np.array([axis]), f"{hint}_axis")
    two = emitter.constant(np.array([2]), f"{hint}_two")
    emitter.emit("Shape", [x], outputs=[shape])
    emitter.emit("Gather", [shape, place], {"axis": 0}, outputs=[whole])
    emitter.emit("Div", [whole, two], outputs=[half])
    emitter.emit("Concat", [half, half], {"axis": 0}, outputs=[sizes])
    return sizes


def _sample(rng: Rng) -> Sample:
    return Sample({"x": normal(rng, 2, 6, 4)}, {"axis": int(rng.choice([0, 1, 2]))})


OPERATORS = (
    Operator(
        "nn.glu", "One half of x along an axis, times the sigmoid of the other.", X, {"axis": -1},
        sample=_sample,
        fx=FxForm(("aten.glu.default",), _read,
                  lambda n: fx_call("aten.glu.default", tensor(n, "x"), integer(n, "axis"))),
        onnx=written_as_others(_write_onnx),
    ),
)  # fmt: skip
