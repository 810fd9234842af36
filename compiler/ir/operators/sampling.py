"""Pixels picked at coordinates that the network computes."""

from __future__ import annotations

from typing import Any

from sparqc.errors import NoForm, SparqcError
from sparqc.ir.graph import Node
from sparqc.ir.vocabulary.forms import Rng, emit_one, fx_call, normal, rank_of, tensor
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

#: In the order of torch's numbers.
_MODES = ("linear", "nearest", "cubic")
_PADDINGS = ("zeros", "border", "reflection")
#: What opset 16 calls the modes that opset 20 renamed.
_OLD = {"linear": "bilinear", "cubic": "bicubic"}
_NEW = {old: new for new, old in _OLD.items()}
#: The first opset that has the operator, and the one that renamed its modes.
_FIRST, _RENAMED = 16, 20


def _read(call: Call) -> Reading | None:
    given = call.arguments
    if rank_of(given["input"]) != 4:
        return None
    attributes: dict[str, Any] = {
        "mode": _MODES[given["interpolation_mode"]],
        "padding_mode": _PADDINGS[given["padding_mode"]],
        "align_corners": bool(given["align_corners"]),
    }
    return Reading({"x": given["input"], "grid": given["grid"]}, attributes)


def _write(node: Node) -> FxCall:
    given: dict[str, Any] = dict(node.attributes)
    if given["mode"] not in _MODES or given["padding_mode"] not in _PADDINGS:
        raise SparqcError(f"{node.output.name}: PyTorch samples no grid in that mode")
    return fx_call(
        "aten.grid_sampler.default", tensor(node, "x"), tensor(node, "grid"),
        _MODES.index(given["mode"]), _PADDINGS.index(given["padding_mode"]),
        given["align_corners"],
    )  # fmt: skip


def _read_onnx(call: Call) -> Reading | None:
    given = call.arguments
    if rank_of(given["X"]) != 4:
        return None
    attributes: dict[str, Any] = {
        "mode": _NEW.get(given["mode"], given["mode"]),
        "padding_mode": given["padding_mode"],
        "align_corners": bool(given["align_corners"]),
    }
    return Reading({"x": given["X"], "grid": given["grid"]}, attributes)


def _write_onnx(node: Node, emitter: OnnxEmitter) -> None:
    if emitter.opset < _FIRST:
        raise NoForm(f"{node.output.name}: ONNX has no GridSample before opset {_FIRST}")
    given: dict[str, Any] = dict(node.attributes)
    renamed = emitter.opset >= _RENAMED
    emit_one(
        "GridSample", node, emitter, "x", "grid",
        mode=given["mode"] if renamed else _OLD.get(given["mode"], given["mode"]),
        padding_mode=given["padding_mode"],
        align_corners=int(given["align_corners"]),
    )  # fmt: skip


def _sample(rng: Rng) -> Sample:
    attributes: dict[str, Any] = {
        "mode": str(rng.choice(_MODES)), "padding_mode": str(rng.choice(_PADDINGS)),
        "align_corners": bool(rng.integers(2)),
    }  # fmt: skip
    return Sample({"x": normal(rng, 2, 3, 6, 7), "grid": normal(rng, 2, 4, 5, 2)}, attributes)


OPERATORS = (
    Operator(
        "nn.grid_sample",
        "The pixels of x [N, C, H, W] at the places grid [N, h, w, 2], each (x, y) from -1 to 1.",
        (OperandSpec("x"), OperandSpec("grid")),
        {"mode": "linear", "padding_mode": "zeros", "align_corners": False},
        traits=("homogeneous",),
        sample=_sample,
        fx=FxForm(("aten.grid_sampler.default", "aten.grid_sampler_2d.default"), _read, _write),
        onnx=OnnxForm(("GridSample",), _read_onnx, _write_onnx),
    ),
)
