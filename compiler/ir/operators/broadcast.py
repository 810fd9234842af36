"""Stretching axes of size 1."""

from __future__ import annotations

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.operators.shape import XSHAPE, constant_ints, int64
from sparqc.ir.vocabulary.forms import Rng, emit_one, fx_call, normal, rank_of, static_ints, tensor
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


def _read_expand(call: Call) -> Reading | None:
    """ONNX's shape: 1 keeps what is there, as -1 does in torch."""
    given, x = call.arguments, call.arguments["self"]
    size = given["size"]
    if x.shape is None or isinstance(size, Value):
        return None
    padded = (1,) * (len(size) - len(x.shape)) + tuple(x.shape)
    result = call.types[0].shape or ()
    if len(result) != len(padded):
        return None
    pairs = zip(padded, result, strict=True)
    sizes = static_ints([1 if after == before else after for before, after in pairs])
    if sizes is None:
        return None  # stretches to a symbolic size
    return Reading({"x": x, "shape": int64(*sizes)})


def _write_expand(node: Node) -> FxCall:
    sizes = constant_ints(node, "shape")
    new = len(sizes) - (rank_of(tensor(node, "x")) or 0)
    kept = [-1 if size == 1 and axis >= new else size for axis, size in enumerate(sizes)]
    return fx_call("aten.expand.default", tensor(node, "x"), kept)


def _read_expand_onnx(call: Call) -> Reading | None:
    x, shape = call.arguments["input"], call.constant("shape")
    if shape is not None and rank_of(x) is not None and len(shape) < (rank_of(x) or 0):
        shape = np.concatenate([np.ones((rank_of(x) or 0) - len(shape), np.int64), shape])
        return Reading({"x": x, "shape": shape})
    return Reading({"x": x, "shape": call.arguments["shape"]})


def _sample_expand(rng: Rng) -> Sample:
    shape = [int64(2, 5, 4), int64(6, 1, 3, 1), int64(1, 5, 1)][int(rng.integers(3))]
    x = normal(rng, 3, 4) if len(shape) == 4 else normal(rng, 2, 1, 4)
    return Sample({"x": x, "shape": shape}, {}, frozenset({"shape"}))


def _never(call: Call) -> Reading | None:
    """ONNX spells it with several nodes; each is read as what it is."""
    return None


def _write_expand_as_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x, like, shape = tensor(node, "x"), tensor(node, "like"), emitter.temp(node.output.name)
    emitter.emit("Shape", [like], outputs=[shape])
    emitter.emit("Expand", [x, shape], outputs=node.outputs)


def _sample_expand_as(rng: Rng) -> Sample:
    return Sample({"x": normal(rng, 2, 1, 4), "like": normal(rng, 2, 3, 4)})


OPERATORS = (
    Operator(
        "nn.expand", "x broadcast to a shape (i64), where 1 keeps the size that is there.",
        XSHAPE, sample=_sample_expand,
        fx=FxForm(("aten.expand.default",), _read_expand, _write_expand),
        onnx=OnnxForm(("Expand",), _read_expand_onnx,
                      lambda n, e: emit_one("Expand", n, e, "x", "shape")),
    ),
    Operator(
        "nn.expand_as", "x broadcast to the shape of another tensor.",
        (OperandSpec("x"), OperandSpec("like")), sample=_sample_expand_as,
        fx=FxForm(("aten.expand_as.default",),
                  lambda c: Reading({"x": c.arguments["self"], "like": c.arguments["other"]}),
                  lambda n: fx_call("aten.expand_as.default", tensor(n, "x"), tensor(n, "like"))),
        onnx=OnnxForm((), _never, _write_expand_as_onnx),
    ),
)  # fmt: skip
