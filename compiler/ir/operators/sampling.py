"""Pixels picked at coordinates that the network computes."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparqc.errors import NoForm, SparqcError
from sparqc.ir.graph import Array, Node
from sparqc.ir.operators.sizes import plain_sizes, sized_list
from sparqc.ir.vocabulary.forms import (
    NUMPY_DTYPES,
    Rng,
    emit_one,
    fx_call,
    normal,
    rank_of,
    tensor,
    tensors,
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


# -- places from affine maps ---------------------------------------------------------------------


def _read_affine(call: Call) -> Reading | None:
    given = call.arguments
    batch, _, *spatial = given["size"]
    sizes = sized_list([batch])
    if sizes is None or not all(isinstance(size, int) for size in spatial):
        return None
    attributes: dict[str, Any] = {
        "size": tuple(spatial), "align_corners": bool(given["align_corners"])
    }  # fmt: skip
    return Reading({"theta": given["theta"], "batch": sizes}, attributes)


def _write_affine(node: Node) -> FxCall:
    given: dict[str, Any] = dict(node.attributes)
    size = [*plain_sizes(tensors(node, "batch")), 1, *given["size"]]
    return fx_call(
        "aten.affine_grid_generator.default", tensor(node, "theta"), size, given["align_corners"]
    )


def _write_affine_onnx(node: Node, emitter: OnnxEmitter) -> None:
    """The AffineGrid of opset 20, which targets do not read, as the product that it is."""
    theta, hint = tensor(node, "theta"), node.output.name
    given: dict[str, Any] = dict(node.attributes)
    centers = _centers(given["size"], given["align_corners"])
    places = emitter.constant(centers.astype(NUMPY_DTYPES[theta.type.dtype]), f"{hint}_places")
    turned, product = emitter.temp(f"{hint}_turned"), emitter.temp(f"{hint}_product")
    emitter.emit("Transpose", [theta], {"perm": (0, 2, 1)}, outputs=[turned])
    emitter.emit("MatMul", [places, turned], outputs=[product])
    shape = np.array([-1, *given["size"], len(given["size"])], np.int64)
    emitter.emit(
        "Reshape", [product, emitter.constant(shape, f"{hint}_shape")], outputs=node.outputs
    )


def _centers(size: tuple[int, ...], align_corners: bool) -> Array:
    """The places of all pixels as (x, y, 1) or (x, y, z, 1): from -1 to 1 between the outermost
    centers, or between the outer edges."""
    along = [
        np.linspace(-1, 1, n) * (1 if align_corners else (n - 1) / n) if n > 1 else np.zeros(1)
        for n in size
    ]
    axes = np.meshgrid(*along, indexing="ij")
    return np.stack([*(a.reshape(-1) for a in reversed(axes)), np.ones(axes[0].size)], 1)


def _sample_affine(rng: Rng) -> Sample:
    size = ((4, 5), (3, 1), (2, 3, 4))[rng.integers(3)]
    theta = normal(rng, 2, len(size), len(size) + 1)
    # One pixel has no corners: PyTorch warns of it.
    attributes = {"size": size, "align_corners": 1 not in size and bool(rng.integers(2))}
    batch = [np.array(2, np.int64)]
    return Sample({"theta": theta, "batch": batch}, attributes, frozenset({"batch"}))


OPERATORS = (
    Operator(
        "nn.affine_grid",
        "For each affine map theta [N, 2, 3] the places [N, h, w, 2] that it sends the pixels of a "
        "map of that size to; theta [N, 3, 4] for volumes.  `batch` is N.",
        (OperandSpec("theta"), OperandSpec("batch", variadic=True)),
        {"size": REQUIRED, "align_corners": False},
        sample=_sample_affine,
        fx=FxForm(("aten.affine_grid_generator.default",), _read_affine, _write_affine),
        onnx=written_as_others(_write_affine_onnx),
    ),
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
