"""Changes of resolution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    Rng,
    X,
    emit_one,
    fx_call,
    integer,
    ints,
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
    OnnxForm,
    Operator,
    Reading,
    Sample,
)

# -- FX ------------------------------------------------------------------------------------------

#: torch's upsample_* by their mode in ONNX, for each spatial rank.
_PACKETS = {
    ("nearest", 1): "upsample_nearest1d", ("nearest", 2): "upsample_nearest2d",
    ("nearest", 3): "upsample_nearest3d", ("linear", 1): "upsample_linear1d",
    ("linear", 2): "upsample_bilinear2d", ("linear", 3): "upsample_trilinear3d",
    ("cubic", 2): "upsample_bicubic2d",
}  # fmt: skip
_MODES = {packet: mode for (mode, _), packet in _PACKETS.items()}


def _read_upsample(call: Call) -> Reading | None:
    """The sizes where the call names sizes, the factors where it names factors."""
    given, mode = call.arguments, _MODES[call.target.split(".")[1]]
    scales, size = given["scale_factors"], given["output_size"]
    shape = call.types[0].shape
    if mode == "nearest":
        coordinates = "asymmetric"
    else:
        coordinates = "align_corners" if given["align_corners"] else "pytorch_half_pixel"
    sizes = None if size is None or shape is None else static_ints(shape[2:])
    if sizes is None and (size is not None or scales is None):
        return None
    attributes = {
        "mode": mode, "sizes": sizes, "coordinate_mode": coordinates, "nearest_mode": "floor",
        "scales": None if size is not None else tuple(float(s) for s in scales),
    }  # fmt: skip
    return Reading({"x": given["input"]}, attributes)


def _write_upsample(node: Node) -> FxCall:
    attributes: Mapping[str, Any] = node.attributes
    mode, sizes, scales = attributes["mode"], attributes["sizes"], attributes["scales"]
    size, factors = (None if v is None else list(v) for v in (sizes, scales))
    rank = len(size or factors or ())
    spelling = (attributes["coordinate_mode"], attributes["nearest_mode"])
    if (str(mode), rank) not in _PACKETS or not _torch_has(str(mode), *map(str, spelling)):
        raise SparqcError(
            f"{node.output.name}: PyTorch has no {rank}-d {mode} resize with {spelling[0]} "
            f"coordinates and {spelling[1]}"
        )
    align = [] if mode == "nearest" else [attributes["coordinate_mode"] == "align_corners"]
    target = f"aten.{_PACKETS[str(mode), rank]}.vec"
    return FxCall(fx_call(target).target, (tensor(node, "x"), size, *align, factors))


def _torch_has(mode: str, coordinates: str, nearest: str) -> bool:
    if mode == "nearest":
        return (coordinates, nearest) == ("asymmetric", "floor")
    # half_pixel differs for a size of 1 only, where there is nothing to interpolate.
    return coordinates in ("align_corners", "pytorch_half_pixel", "half_pixel")


# -- ONNX ----------------------------------------------------------------------------------------


def _read_resize_onnx(call: Call) -> Reading | None:
    """Spatial dimensions only, by constant factors or to constant sizes."""
    given, x = call.arguments, call.arguments["X"]
    plain = not (given.get("antialias") or given.get("exclude_outside"))
    policy = given.get("keep_aspect_ratio_policy", "stretch")
    if not plain or policy != "stretch" or x.shape is None or call.opset < 11:
        return None
    if given.get("cubic_coeff_a", -0.75) != -0.75 and given["mode"] == "cubic":
        return None
    factors = _spatial(call, "scales", x)
    sizes = None if factors is not None else _spatial(call, "sizes", x) or _inferred_sizes(call, x)
    if factors is None and sizes is None:
        return None
    attributes = {
        "mode": given["mode"],
        "nearest_mode": given["nearest_mode"] if given["mode"] == "nearest" else "floor",
        "coordinate_mode": given["coordinate_transformation_mode"],
        "scales": factors, "sizes": None if sizes is None else tuple(int(s) for s in sizes),
    }  # fmt: skip
    return Reading({"x": x}, attributes)


def _spatial(call: Call, name: str, x: Value) -> tuple[float, ...] | None:
    """The numbers for the axes from 2 on, where batch and channels stay as they are."""
    array, shape = call.constant(name), x.shape or ()
    if array is None or not array.size:
        return None
    if call.arguments.get("axes"):
        spatial = tuple(call.arguments["axes"]) == tuple(range(2, len(shape)))
        return tuple(float(v) for v in array) if spatial else None
    kept = (1, 1) if name == "scales" else tuple(shape[:2])
    if len(array) != len(shape) or tuple(array[:2].tolist()) != kept:
        return None
    return tuple(float(v) for v in array[2:])


def _inferred_sizes(call: Call, x: Value) -> tuple[float, ...] | None:
    """The sizes that a model puts together of the Shape of a tensor, where inference knows them:
    torch.onnx writes them so for the batch's sake."""
    sizes, before, after = call.arguments.get("sizes"), x.shape or (), call.types[0].shape or ()
    if not isinstance(sizes, Value) or call.arguments.get("axes") or len(before) != len(after):
        return None
    batch = before[:1] == after[:1] or isinstance(after[0], str)
    spatial = [float(d) for d in after[2:] if isinstance(d, int)]
    fits = batch and before[1] == after[1] and len(spatial) == len(after) - 2 > 0
    return tuple(spatial) if fits else None


def _write_resize_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x, hint = tensor(node, "x"), node.output.name
    attributes: Mapping[str, Any] = node.attributes
    given: dict[str, Any] = {
        "mode": attributes["mode"],
        "coordinate_transformation_mode": attributes["coordinate_mode"],
    }
    if attributes["mode"] == "nearest":
        given["nearest_mode"] = attributes["nearest_mode"]
    scales = attributes["scales"] or _exact_factors(node)
    if scales is not None:
        factors = np.array([1, 1, *scales], np.float32)
        inputs: list[Value | str | None] = [x, None, emitter.constant(factors, f"{hint}_scales")]
    else:
        inputs = [x, None, None, _full_sizes(node, emitter, x)]
    emitter.emit("Resize", inputs, given, outputs=node.outputs)


def _exact_factors(node: Node) -> tuple[float, ...] | None:
    """The factors that give the sizes without rounding: 8 to 64 is 8.0, 7 to 10 is none.

    As constants they spare readers the computation of the sizes from a symbolic batch.
    """
    x, sizes = tensor(node, "x"), ints(node, "sizes")
    before = static_ints(x.shape[2:]) if x.shape is not None else None
    if before is None or static_ints((x.shape or ())[:2]) is not None:
        return None
    factors = [np.float32(a / b) for a, b in zip(sizes, before, strict=True)]
    exact = all(float(f) * b == a for f, a, b in zip(factors, sizes, before, strict=True))
    return tuple(float(f) for f in factors) if exact else None


def _full_sizes(node: Node, emitter: OnnxEmitter, x: Value) -> str:
    """The sizes of all dimensions; batch and channels come from x where they are symbolic."""
    sizes, hint = node.attributes["sizes"], f"{node.output.name}_sizes"
    spatial = np.array(sizes, np.int64)
    kept = static_ints((x.shape or (None,))[:2])
    if kept is not None:
        return emitter.constant(np.array([*kept, *spatial], np.int64), hint)
    shape, leading, full = (emitter.temp(hint) for _ in range(3))
    emitter.emit("Shape", [x], outputs=[shape])
    bounds = [emitter.constant(np.array([b], np.int64), f"{hint}_bound") for b in (0, 2)]
    emitter.emit("Slice", [shape, *bounds], outputs=[leading])
    emitter.emit("Concat", [leading, emitter.constant(spatial, hint)], {"axis": 0}, outputs=[full])
    return full


# -- depth to space ------------------------------------------------------------------------------


def _read_shuffle(call: Call) -> Reading | None:
    if rank_of(call.arguments["self"]) != 4:
        return None
    attributes = {"blocksize": call.arguments["upscale_factor"], "mode": "CRD"}
    return Reading({"x": call.arguments["self"]}, attributes)


def _write_shuffle(node: Node) -> FxCall:
    if node.attributes["mode"] != "CRD":
        raise SparqcError(
            f"{node.output.name}: PyTorch's pixel_shuffle has no {node.attributes['mode']} order"
        )
    return fx_call("aten.pixel_shuffle.default", tensor(node, "x"), node.attributes["blocksize"])


def _read_depth_onnx(call: Call) -> Reading | None:
    attributes = {name: call.arguments[name] for name in ("blocksize", "mode")}
    return Reading({"x": call.arguments["input"]}, attributes)


# -- space to depth ------------------------------------------------------------------------------


def _read_unshuffle(call: Call) -> Reading | None:
    x = call.arguments["self"]
    if rank_of(x) != 4 or static_ints(x.shape[1:2]) is None:
        return None
    return Reading({"x": x}, {"blocksize": call.arguments["downscale_factor"]})


def _write_unshuffle_onnx(node: Node, emitter: OnnxEmitter) -> None:
    """Moves of pixels where the sizes are known; else a SpaceToDepth, whose channels come in
    another order than PyTorch's."""
    x, r, hint = tensor(node, "x"), integer(node, "blocksize"), node.output.name
    sizes = static_ints((x.shape or ())[1:])
    if sizes is None:
        _unshuffle_any_size(node, emitter)
        return
    channels, height, width = sizes
    apart = np.array([-1, channels, height // r, r, width // r, r], np.int64)
    joined = np.array([-1, channels * r * r, height // r, width // r], np.int64)
    split, turned = emitter.temp(hint), emitter.temp(hint)
    emitter.emit("Reshape", [x, emitter.constant(apart, f"{hint}_apart")], outputs=[split])
    emitter.emit("Transpose", [split], {"perm": (0, 1, 3, 5, 2, 4)}, outputs=[turned])
    shape = emitter.constant(joined, f"{hint}_joined")
    emitter.emit("Reshape", [turned, shape], outputs=node.outputs)


def _unshuffle_any_size(node: Node, emitter: OnnxEmitter) -> None:
    x, r, hint = tensor(node, "x"), integer(node, "blocksize"), node.output.name
    channels = (x.shape or (0, 0))[1]
    order = np.arange(r * r * int(channels)).reshape(r * r, -1).T.reshape(-1)
    blocks = emitter.temp(hint)
    emitter.emit("SpaceToDepth", [x], {"blocksize": r}, outputs=[blocks])
    indices = emitter.constant(order, f"{hint}_order")
    emitter.emit("Gather", [blocks, indices], {"axis": 1}, outputs=node.outputs)


# -- samples -------------------------------------------------------------------------------------


def _sample_resize(rng: Rng) -> Sample:
    mode = str(rng.choice(["nearest", "linear"]))
    linear = ["pytorch_half_pixel", "align_corners"]
    attributes: dict[str, Any] = {
        "mode": mode, "nearest_mode": "floor",
        "coordinate_mode": "asymmetric" if mode == "nearest" else str(rng.choice(linear)),
        "scales": None, "sizes": None,
    }  # fmt: skip
    if rng.random() < 0.5:
        attributes["scales"] = (2.0, 2.0)
    else:
        attributes["sizes"] = tuple(int(s) for s in rng.integers(3, 12, 2))
    return Sample({"x": normal(rng, 2, 3, 4, 5)}, attributes)


def _sample_depth(rng: Rng) -> Sample:
    return Sample({"x": normal(rng, 2, 8, 3, 4)}, {"blocksize": 2, "mode": "CRD"})


def _sample_unshuffle(rng: Rng) -> Sample:
    return Sample({"x": normal(rng, 2, 3, 4, 6)}, {"blocksize": 2})


OPERATORS = (
    Operator(
        "nn.resize",
        "x with other spatial sizes: by `scales` or to `sizes`, one number for each axis from 2 "
        "on; the modes are ONNX's.",
        X,
        {"mode": "nearest", "scales": None, "sizes": None, "coordinate_mode": "asymmetric",
         "nearest_mode": "floor"},
        traits=("spatial", "homogeneous"), sample=_sample_resize,
        fx=FxForm(tuple(f"aten.{packet}.vec" for packet in _MODES), _read_upsample,
                  _write_upsample),
        onnx=OnnxForm(("Resize",), _read_resize_onnx, _write_resize_onnx),
    ),
    Operator(
        "nn.depth_to_space", "Blocks of channels become blocks of pixels; pixel_shuffle is CRD.",
        X, {"blocksize": REQUIRED, "mode": "DCR"}, traits=("moves",), sample=_sample_depth,
        fx=FxForm(("aten.pixel_shuffle.default",), _read_shuffle, _write_shuffle),
        onnx=OnnxForm(("DepthToSpace",), _read_depth_onnx, lambda n, e: emit_one(
            "DepthToSpace", n, e, "x", blocksize=n.attributes["blocksize"],
            mode=n.attributes["mode"])),
    ),
    Operator(
        "nn.space_to_depth", "Blocks of pixels become blocks of channels, as in pixel_unshuffle.",
        X, {"blocksize": REQUIRED}, traits=("moves",), sample=_sample_unshuffle,
        fx=FxForm(("aten.pixel_unshuffle.default",), _read_unshuffle, lambda n: fx_call(
            "aten.pixel_unshuffle.default", tensor(n, "x"), n.attributes["blocksize"])),
        onnx=written_as_others(_write_unshuffle_onnx),
    ),
)  # fmt: skip
