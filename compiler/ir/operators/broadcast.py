"""Stretching axes of size 1."""

from __future__ import annotations

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.operators.shape import XSHAPE, constant_ints, int64
from sparqc.ir.vocabulary.forms import (
    Rng,
    emit_one,
    fx_call,
    normal,
    rank_of,
    static_ints,
    tensor,
    tensors,
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

_FILLS = ("aten.full.default", "aten.new_full.default")


def _read_expand(call: Call) -> Reading | None:
    """ONNX's shape: 1 keeps what is there, as -1 does in torch."""
    if call.target in _FILLS:
        return _read_filled(call)
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


def _read_filled(call: Call) -> Reading | None:
    """torch.full(size, x.item()): a tensor filled with a number that is computed."""
    value, sizes = call.arguments["fill_value"], static_ints(call.arguments["size"])
    producer = value.producer if isinstance(value, Value) else None
    if sizes is None or producer is None or producer.op != "aten.item.default":
        return None
    x = tensor(producer, "self")
    fits = x.shape == () and x.type.dtype == call.types[0].dtype
    return Reading({"x": x, "shape": int64(*sizes)}) if fits else None


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


def _write_expand_as_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x, like, shape = tensor(node, "x"), tensor(node, "like"), emitter.temp(node.output.name)
    emitter.emit("Shape", [like], outputs=[shape])
    emitter.emit("Expand", [x, shape], outputs=node.outputs)


def _sample_expand_as(rng: Rng) -> Sample:
    return Sample({"x": normal(rng, 2, 1, 4), "like": normal(rng, 2, 3, 4)})


# -- meshgrid ------------------------------------------------------------------------------------


def _read_meshgrid(call: Call) -> Reading | None:
    xs, indexing = call.arguments["tensors"], call.arguments.get("indexing", "ij")
    if any(rank_of(x) != 1 for x in xs) or len({x.type.dtype for x in xs}) > 1:
        return None
    return Reading({"xs": tuple(xs)}, {"indexing": indexing})


def _write_meshgrid_onnx(node: Node, emitter: OnnxEmitter) -> None:
    """Each vector along an axis of its own, stretched to the sizes of all of them."""
    xs, hint = tensors(node, "xs"), node.outputs[0].name
    order = list(range(len(xs)))
    if node.attributes["indexing"] == "xy":
        order[:2] = reversed(order[:2])  # the first vector runs along the columns
    sizes, shape = [emitter.temp(f"{hint}_size") for _ in xs], emitter.temp(f"{hint}_shape")
    for x, size in zip(xs, sizes, strict=True):
        emitter.emit("Shape", [x], outputs=[size])
    emitter.emit("Concat", [sizes[axis] for axis in order], {"axis": 0}, outputs=[shape])
    for x, axis, output in zip(xs, order, node.outputs, strict=True):
        along = emitter.constant(
            int64(*(-1 if a == axis else 1 for a in range(len(xs)))), f"{hint}_along"
        )
        turned = emitter.temp(f"{hint}_vector")
        emitter.emit("Reshape", [x, along], outputs=[turned])
        emitter.emit("Expand", [turned, shape], outputs=[output])


def _sample_meshgrid(rng: Rng) -> Sample:
    xs = [normal(rng, size) for size in [(3, 4), (2, 3, 4), (3,)][int(rng.integers(3))]]
    indexing = str(rng.choice(["ij", "xy"])) if len(xs) > 1 else "ij"
    return Sample({"xs": xs}, {"indexing": indexing})


OPERATORS = (
    Operator(
        "nn.expand", "x broadcast to a shape (i64), where 1 keeps the size that is there.",
        XSHAPE, traits=("moves",), sample=_sample_expand,
        fx=FxForm(("aten.expand.default", *_FILLS), _read_expand, _write_expand),
        onnx=OnnxForm(("Expand",), _read_expand_onnx,
                      lambda n, e: emit_one("Expand", n, e, "x", "shape")),
    ),
    Operator(
        "nn.expand_as", "x broadcast to the shape of another tensor.",
        (OperandSpec("x"), OperandSpec("like")), traits=("moves",), sample=_sample_expand_as,
        fx=FxForm(("aten.expand_as.default",),
                  lambda c: Reading({"x": c.arguments["self"], "like": c.arguments["other"]}),
                  lambda n: fx_call("aten.expand_as.default", tensor(n, "x"), tensor(n, "like"))),
        onnx=written_as_others(_write_expand_as_onnx),
    ),
    Operator(
        "nn.meshgrid", "The coordinates of a grid: each vector along its own axis and stretched "
        "along the others; the first two axes are swapped where the indexing is \"xy\".",
        (OperandSpec("xs", variadic=True),), {"indexing": "ij"}, outputs=("y*",),
        traits=("moves",), sample=_sample_meshgrid,
        fx=FxForm(("aten.meshgrid.indexing", "aten.meshgrid.default"), _read_meshgrid,
                  lambda n: fx_call("aten.meshgrid.indexing", list(tensors(n, "xs")),
                                    indexing=n.attributes["indexing"])),
        onnx=written_as_others(_write_meshgrid_onnx),
    ),
)  # fmt: skip
