"""Clip: clamp, hardtanh and ReLU6."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    UNARY,
    Rng,
    emit_one,
    fx_call,
    normal,
    number,
    optional_tensor,
    tensor,
    tensor_operand,
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

_CLIP = (OperandSpec("x"), OperandSpec("min", optional=True), OperandSpec("max", optional=True))
_BOUNDS = {"min": ("min", "min_val"), "max": ("max", "max_val")}


def _read_clip(call: Call) -> Reading | None:
    """clamp, hardtanh and relu6: bounds that are numbers or scalar tensors of the type of x."""
    given, x = call.arguments, call.arguments["self"]
    if call.target.startswith("aten.relu6"):
        given = {"min": 0.0, "max": 6.0}
    bounds = {
        slot: next((given[n] for n in names if given.get(n) is not None), None)
        for slot, names in _BOUNDS.items()
    }
    return _clip(call, x, bounds)


def _clip(call: Call, x: Value, bounds: dict[str, Any]) -> Reading | None:
    if x.type.dtype != call.types[0].dtype and "?" not in (x.type.dtype, call.types[0].dtype):
        return None
    operands: dict[str, Any] = {"x": x}
    for slot, bound in bounds.items():
        operands[slot] = None if bound is None else tensor_operand(bound, x.type.dtype)
        if bound is not None and operands[slot] is None:
            return None
        if isinstance(bound, Value) and bound.type.rank != 0:
            return None
    return Reading(operands)


def _write_clip(node: Node) -> FxCall:
    slots = ("min", "max")
    bounds = [number(node, slot) for slot in slots]
    given = [optional_tensor(node, slot) for slot in slots]
    if all(b is not None or g is None for b, g in zip(bounds, given, strict=True)):
        return fx_call("aten.clamp.default", tensor(node, "x"), *bounds)
    return fx_call("aten.clamp.Tensor", tensor(node, "x"), *given)


def _read_clip_onnx(call: Call) -> Reading | None:
    """Bounds are attributes before opset 11, where their defaults are the largest numbers."""
    bounds = {slot: call.arguments.get(slot) for slot in ("min", "max")}
    huge = float(np.finfo(np.float32).max)
    bounds = {s: None if isinstance(b, float) and abs(b) >= huge else b for s, b in bounds.items()}
    return _clip(call, call.arguments["input"], bounds)


def _sample_clip(rng: Rng) -> Sample:
    bounds = [np.array(b, np.float32) for b in (-0.5, 0.75)]
    keep = [bool(k) for k in ((1, 1), (1, 0), (0, 1))[int(rng.integers(3))]]
    low, high = (b if k else None for b, k in zip(bounds, keep, strict=True))
    operands = {"x": normal(rng, 2, 3, 4), "min": low, "max": high}
    return Sample(operands, {}, frozenset({"min", "max"}))


def _overloads(*packets: str) -> tuple[str, ...]:
    return tuple(f"aten.{p}{tail}.default" for p in packets for tail in ("", "_"))


OPERATORS = (
    Operator(
        "nn.clip", "x limited to [min, max], both scalars; ReLU6 is a clip from 0 to 6.",
        _CLIP, sample=_sample_clip, traits=(*UNARY, "monotone"),
        fx=FxForm((*_overloads("clamp", "hardtanh", "relu6", "clamp_min", "clamp_max", "clip"),
                   "aten.clamp.Tensor", "aten.clamp_.Tensor"), _read_clip, _write_clip),
        onnx=OnnxForm(("Clip",), _read_clip_onnx,
                      lambda n, e: emit_one("Clip", n, e, "x", "min", "max")),
    ),
)  # fmt: skip
