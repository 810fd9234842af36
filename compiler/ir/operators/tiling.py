"""Tensors repeated along their axes."""

from __future__ import annotations

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.operators.shape import constant_ints, int64
from sparqc.ir.operators.sizes import plain_sizes, size_vector, sized_list
from sparqc.ir.vocabulary.forms import (
    Rng,
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


def _read(call: Call) -> tuple[Value, list[object]] | None:
    """The tensor, and how often along each axis: torch.tile leaves out the first ones."""
    given, x = call.arguments, call.arguments["self"]
    rank, repeats = rank_of(x), given.get("repeats", given.get("dims"))
    if rank is None or not isinstance(repeats, list | tuple):
        return None
    repeats = [*[1] * (rank - len(repeats)), *repeats]
    return (x, repeats) if repeats else None


def _read_tile(call: Call) -> Reading | None:
    found = _read(call)
    repeats = None if found is None else static_ints(found[1])
    if found is None or repeats is None:
        return None
    return Reading({"x": found[0], "repeats": int64(*repeats)})


def _write_tile(node: Node) -> FxCall:
    return fx_call("aten.repeat.default", tensor(node, "x"), constant_ints(node, "repeats"))


def _read_tile_onnx(call: Call) -> Reading | None:
    return Reading({"x": call.arguments["input"], "repeats": call.arguments["repeats"]})


def _write_tile_onnx(node: Node, emitter: OnnxEmitter) -> None:
    repeats = tensor(node, "repeats")
    axes = repeats.shape[0] if repeats.shape else None
    _emit_tile(node, emitter, repeats, axes if isinstance(axes, int) else None)


def _emit_tile(node: Node, emitter: OnnxEmitter, repeats: Value | str, count: int | None) -> None:
    """A Tile; of x with new axes in front where there are more numbers than x has axes."""
    x: Value | str = tensor(node, "x")
    rank = rank_of(x)
    if count is not None and rank is not None and count > rank:
        hint = node.output.name
        axes = emitter.constant(np.arange(count - rank), f"{hint}_dims")
        ranked = emitter.temp(f"{hint}_ranked")
        emitter.emit("Unsqueeze", [x, axes], outputs=[ranked])
        x = ranked
    emitter.emit("Tile", [x, repeats], outputs=node.outputs)


# -- by symbolic sizes ---------------------------------------------------------------------------


def _read_tile_by(call: Call) -> Reading | None:
    found = _read(call)
    repeats = None if found is None else sized_list(found[1])
    return (
        None if found is None or repeats is None else Reading({"x": found[0], "repeats": repeats})
    )


def _write_tile_by(node: Node) -> FxCall:
    repeats = plain_sizes(tensors(node, "repeats"))
    return fx_call("aten.repeat.default", tensor(node, "x"), repeats)


def _write_tile_by_onnx(node: Node, emitter: OnnxEmitter) -> None:
    repeats = tensors(node, "repeats")
    vector = size_vector(repeats, emitter, f"{node.output.name}_repeats")
    _emit_tile(node, emitter, vector, len(repeats))


# -- samples -------------------------------------------------------------------------------------


def _sample_tile(rng: Rng) -> Sample:
    repeats = [int64(2, 1, 3), int64(1, 1, 1), int64(3, 2, 1, 2)][int(rng.integers(3))]
    return Sample({"x": normal(rng, 2, 1, 3), "repeats": repeats}, {}, frozenset({"repeats"}))


def _sample_tile_by(rng: Rng) -> Sample:
    repeats = [np.array(n, np.int64) for n in [(2, 3), (2, 1, 3)][int(rng.integers(2))]]
    return Sample({"x": normal(rng, 2, 3), "repeats": repeats}, {}, frozenset({"repeats"}))


_TARGETS = ("aten.repeat.default", "aten.tile.default")

OPERATORS = (
    Operator(
        "nn.tile", "x repeated so often (i64) along each axis; more numbers than x has axes give "
        "it new ones in front.", (OperandSpec("x"), OperandSpec("repeats")),
        traits=("moves",), sample=_sample_tile,
        fx=FxForm(_TARGETS, _read_tile, _write_tile),
        onnx=OnnxForm(("Tile",), _read_tile_onnx, _write_tile_onnx),
    ),
    Operator(
        "nn.tile_by", "x repeated along each axis, some of the numbers symbolic.",
        (OperandSpec("x"), OperandSpec("repeats", variadic=True)),
        traits=("moves",), sample=_sample_tile_by,
        fx=FxForm(_TARGETS, _read_tile_by, _write_tile_by),
        onnx=written_as_others(_write_tile_by_onnx),
    ),
)  # fmt: skip
