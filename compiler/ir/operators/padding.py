"""Margins around a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    NUMPY_DTYPES,
    Rng,
    X,
    axes_of,
    fx_call,
    ints,
    normal,
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
    OnnxEmitter,
    OnnxForm,
    Operator,
    Reading,
    Sample,
)

_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
_TORCH_MODES = {onnx: torch for torch, onnx in _MODES.items()}


def _read_pad(call: Call) -> Reading | None:
    """torch lists pairs, the last dimension first; ONNX all begins, then all ends."""
    given, rank = call.arguments, rank_of(call.arguments["self"])
    pairs, mode = static_ints(given["pad"]), _MODES.get(given.get("mode", "constant"))
    value = given.get("value") or 0.0
    if pairs is None or rank is None or mode is None or isinstance(value, Value):
        return None
    pairs = pairs + (0,) * (2 * rank - len(pairs))
    begins, ends = pairs[-2::-2], pairs[::-2]
    attributes: dict[str, Any] = {"pads": begins + ends, "mode": mode, "value": float(value)}
    return Reading({"x": given["self"]}, attributes)


def _write_pad(node: Node) -> FxCall:
    pads = list(ints(node, "pads"))
    rank = len(pads) // 2
    pairs = [p for axis in reversed(range(rank)) for p in (pads[axis], pads[axis + rank])]
    if node.attributes["mode"] == "constant":
        while len(pairs) > 2 and pairs[-2:] == [0, 0]:
            del pairs[-2:]
        x, value = tensor(node, "x"), node.attributes["value"]
        return fx_call("aten.constant_pad_nd.default", x, pairs, value)
    # torch reflects and replicates spatial dimensions only, and wants all of them.
    spatial = pairs[: 2 * max(rank - 2, 1)]
    mode = _TORCH_MODES[str(node.attributes["mode"])]
    return fx_call("aten.pad.default", tensor(node, "x"), spatial, mode)


def _read_pad_onnx(call: Call) -> Reading | None:
    given, rank = call.arguments, rank_of(call.arguments["data"])
    pads, mode, value = axes_of(call, "pads"), given["mode"], _fill(call)
    if pads is None or rank is None or value is None or mode not in _TORCH_MODES:
        return None
    if given.get("axes") is not None:
        axes = axes_of(call)
        if axes is None:
            return None
        full = [0] * (2 * rank)
        for index, axis in enumerate(axes):
            axis = wrap(axis, rank)
            full[axis], full[axis + rank] = pads[index], pads[index + len(axes)]
        pads = tuple(full)
    return Reading({"x": given["data"]}, {"pads": pads, "mode": mode, "value": value})


def _fill(call: Call) -> float | None:
    """The number to pad with: an attribute before opset 11, a scalar input since."""
    value = call.arguments.get("constant_value", call.arguments.get("value"))
    if isinstance(value, Value):
        return None if value.data is None else float(value.data.reshape(-1)[0])
    return float(value or 0.0)


def _write_pad_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x, hint, mode = tensor(node, "x"), node.output.name, node.attributes["mode"]
    inputs: list[Value | str] = [
        x, emitter.constant(np.array(node.attributes["pads"], np.int64), f"{hint}_pads"),
    ]  # fmt: skip
    if mode == "constant":
        dtype = NUMPY_DTYPES.get(x.type.dtype, np.dtype("float32"))
        fill = np.array(node.attributes["value"]).astype(dtype)
        inputs.append(emitter.constant(fill, f"{hint}_value"))
    emitter.emit("Pad", inputs, {"mode": mode}, outputs=node.outputs)


def _sample_pad(rng: Rng) -> Sample:
    mode = str(rng.choice(list(_TORCH_MODES)))
    pads = (0, 0, *(int(p) for p in rng.integers(0, 3, 2)))
    pads += (0, 0, *(int(p) for p in rng.integers(0, 3, 2)))
    value = float(rng.choice([0, -1.5])) if mode == "constant" else 0.0
    return Sample({"x": normal(rng, 2, 3, 4, 5)}, {"pads": pads, "mode": mode, "value": value})


OPERATORS = (
    Operator(
        "nn.pad", "x with a margin: pads lists all begins, then all ends; mode is constant, "
        "reflect or edge.", X,
        {"pads": REQUIRED, "mode": "constant", "value": 0.0}, sample=_sample_pad,
        fx=FxForm(("aten.constant_pad_nd.default", "aten.pad.default"), _read_pad, _write_pad),
        onnx=OnnxForm(("Pad",), _read_pad_onnx, _write_pad_onnx),
    ),
)  # fmt: skip
