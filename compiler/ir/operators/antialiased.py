"""Changes of resolution with a filter that grows with the factor, as Pillow's are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparqc.errors import NoForm
from sparqc.ir.graph import Array, Node
from sparqc.ir.vocabulary.forms import (
    NUMPY_DTYPES,
    Rng,
    X,
    fx_call,
    normal,
    rank_of,
    static_ints,
    tensor,
    written_as_others,
)
from sparqc.ir.vocabulary.operator import (
    REQUIRED,
    Call,
    FxCall,
    FxForm,
    OnnxEmitter,
    Operator,
    Reading,
    Sample,
)

#: torch's operators by their mode in ONNX.
_PACKETS = {"linear": "_upsample_bilinear2d_aa", "cubic": "_upsample_bicubic2d_aa"}
_MODES = {packet: mode for mode, packet in _PACKETS.items()}
#: How far a filter reaches, in pixels of the coarser image.
_REACH = {"linear": 1.0, "cubic": 2.0}
#: The coefficient of Keys' cubic filter, as in Pillow.
_KEYS = -0.5


def _read(call: Call) -> Reading | None:
    given, mode = call.arguments, _MODES[call.target.split(".")[1]]
    scales, sizes = given["scale_factors"], static_ints((call.types[0].shape or ())[2:])
    if rank_of(given["input"]) != 4 or sizes is None:
        return None
    attributes = {
        "mode": mode, "sizes": sizes, "align_corners": given["align_corners"],
        "scales": None if scales is None else tuple(float(s) for s in scales),
    }  # fmt: skip
    return Reading({"x": given["input"]}, attributes)


def _write(node: Node) -> FxCall:
    given: dict[str, Any] = dict(node.attributes)
    size = list(given["sizes"]) if given["scales"] is None else None
    factors = None if given["scales"] is None else list(given["scales"])
    target = f"aten.{_PACKETS[given['mode']]}.vec"
    return FxCall(
        fx_call(target).target, (tensor(node, "x"), size, given["align_corners"], factors)
    )


def _write_onnx(node: Node, emitter: OnnxEmitter) -> None:
    """Along each axis a product with a constant matrix: few readers take a Resize with antialias,
    and ONNX has none that aligns corners as torch does.

    The matrix stands on the left, where no weight stands: it is no layer to prune or to quantize.
    """
    x, hint = tensor(node, "x"), node.output.name
    given: dict[str, Any] = dict(node.attributes)
    before = static_ints((x.shape or ())[2:])
    if before is None:
        raise NoForm(f"{hint}: an antialiased resize needs the sizes of the image that it reads")
    scales = given["scales"] or (None, None)
    axes = zip(before, given["sizes"], scales, strict=True)
    rows, columns = (
        filter_matrix(a, b, s, given["mode"], given["align_corners"]).astype(
            NUMPY_DTYPES[x.type.dtype]
        )
        for a, b, s in axes
    )
    down, turned, across = (emitter.temp(hint) for _ in range(3))
    emitter.emit("MatMul", [emitter.constant(rows, f"{hint}_rows"), x], outputs=[down])
    emitter.emit("Transpose", [down], {"perm": (0, 1, 3, 2)}, outputs=[turned])
    matrix = emitter.constant(columns, f"{hint}_columns")
    emitter.emit("MatMul", [matrix, turned], outputs=[across])
    emitter.emit("Transpose", [across], {"perm": (0, 1, 3, 2)}, outputs=node.outputs)


def filter_matrix(
    before: int, after: int, scale: float | None, mode: str, align_corners: bool
) -> Array:
    """What each of `after` pixels takes of each of `before`: f64[after, before], rows of sum 1.

    As torch's `_compute_indices_min_size_weights_aa` (aten/src/ATen/native/cpu/UpSampleKernel.cpp):
    aligned corners change the step, but not where the first pixel lies.
    """
    if align_corners:
        step = (before - 1) / (after - 1) if after > 1 else 0.0
    else:
        step = 1 / scale if scale else before / after
    width = max(step, 1.0)
    reach = _REACH[mode] * width
    matrix = np.zeros((after, before))
    for row in range(after):
        center = step * (row + 0.5)
        low = max(int(center - reach + 0.5), 0)
        high = min(int(center + reach + 0.5), before)
        weights = _filter((np.arange(low, high) - center + 0.5) / width, mode)
        matrix[row, low:high] = weights / (math.fsum(weights) or 1.0)
    return matrix


def _filter(x: Array, mode: str) -> Array:
    x = np.abs(x)
    if mode == "linear":
        return np.asarray(np.maximum(1 - x, 0.0))
    near = ((_KEYS + 2) * x - (_KEYS + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _KEYS
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _sample(rng: Rng) -> Sample:
    attributes: dict[str, Any] = {
        "mode": str(rng.choice(list(_PACKETS))), "align_corners": bool(rng.integers(2)),
        "sizes": tuple(int(s) for s in rng.integers(2, 16, 2)), "scales": None,
    }  # fmt: skip
    if rng.random() < 0.5:
        attributes |= {"sizes": (5, 15), "scales": (0.6, 1.3)}  # of 9 and 12, rounded down
    return Sample({"x": normal(rng, 2, 3, 9, 12)}, attributes)


OPERATORS = (
    Operator(
        "nn.antialiased_resize",
        "x with other spatial sizes, each pixel the mean of all that it covers: to `sizes`, which "
        "where `scales` are given are theirs, rounded down.",
        X,
        {"mode": "linear", "sizes": REQUIRED, "scales": None, "align_corners": False},
        traits=("spatial", "homogeneous"), sample=_sample,
        fx=FxForm(tuple(f"aten.{packet}.vec" for packet in _MODES), _read, _write),
        onnx=written_as_others(_write_onnx),
    ),
)  # fmt: skip
