"""Convolutions."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.auto_pad import auto_pad, split, window_pads
from sparqc.ir.vocabulary.forms import (
    Rng,
    emit_one,
    fx_call,
    ints,
    normal,
    optional_tensor,
    rank_of,
    spread,
    tensor,
)
from sparqc.ir.vocabulary.multiply_adds import product, shape_of
from sparqc.ir.vocabulary.operator import (
    Call,
    FxCall,
    FxForm,
    Given,
    OnnxEmitter,
    OnnxForm,
    OperandSpec,
    Operator,
    Reading,
    Sample,
    WeightSpec,
)

OPERANDS = (OperandSpec("x"), OperandSpec("w"), OperandSpec("b", optional=True))


def spatial_rank(call_or_weight: Any) -> int | None:
    """How many spatial dimensions a weight [K, C, ...] has."""
    shape = call_or_weight.shape if isinstance(call_or_weight, Value) else None
    return None if shape is None else len(shape) - 2


def _geometry(node: Node, name: str) -> tuple[int, ...]:
    """Strides, pads or dilations; the defaults are those of 2-D, other ranks spread them."""
    items = ints(node, name)
    rank = spatial_rank(tensor(node, "w")) or 2
    length = 2 * rank if name == "pads" else rank
    return items if len(items) == length else (items[0],) * length


def same_padding(kernel: tuple[int, ...], dilations: tuple[int, ...]) -> tuple[int, ...]:
    """The pads of padding="same": an odd one goes behind, as in torch and in SAME_UPPER."""
    total = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
    return tuple(t // 2 for t in total) + tuple(t - t // 2 for t in total)


# -- FX ------------------------------------------------------------------------------------------


def _read_fx(call: Call) -> Reading | None:
    given = call.arguments
    rank = spatial_rank(given["weight"])
    if rank is None or given.get("transposed") or rank_of(given["input"]) != rank + 2:
        return None  # torch also takes an input without batch dimension; ONNX does not
    strides, dilations = spread(given["stride"], rank), spread(given["dilation"], rank)
    pads = _read_padding(given["padding"], given["weight"], dilations, rank)
    if strides is None or dilations is None or pads is None:
        return None
    attributes = {
        "strides": strides, "pads": pads, "dilations": dilations, "groups": given["groups"],
    }  # fmt: skip
    return Reading({"x": given["input"], "w": given["weight"], "b": given["bias"]}, attributes)


def _read_padding(
    padding: Any, weight: Value, dilations: tuple[int, ...] | None, rank: int
) -> tuple[int, ...] | None:
    if not isinstance(padding, str):
        pads = spread(padding, rank)
        return None if pads is None else pads * 2
    kernel = _static(weight.shape)
    if kernel is None or dilations is None:
        return None
    return (0,) * (2 * rank) if padding == "valid" else same_padding(kernel[2:], dilations)


def _static(shape: Any) -> tuple[int, ...] | None:
    return shape if shape is not None and all(isinstance(d, int) for d in shape) else None


def _write_fx(node: Node) -> FxCall:
    x, w, b = tensor(node, "x"), tensor(node, "w"), optional_tensor(node, "b")
    pads, dilations = _geometry(node, "pads"), _geometry(node, "dilations")
    rank = len(dilations)
    strides = _geometry(node, "strides")
    padded: Any = x
    padding: Any = list(pads[:rank])
    overload = "default"
    if pads[:rank] != pads[rank:]:
        kernel = _static(w.shape)
        if (
            kernel is not None
            and set(strides) == {1}
            and pads == same_padding(kernel[2:], dilations)
        ):
            padding, overload = "same", "padding"
        else:
            padding = [0] * rank
            padded = fx_call("aten.constant_pad_nd.default", x, _torch_pads(pads))
    return fx_call(
        f"aten.conv{rank}d.{overload}",
        padded, w, b, list(strides), padding, list(dilations), node.attributes["groups"],
    )  # fmt: skip


def _torch_pads(pads: tuple[int, ...]) -> list[int]:
    """ONNX's begins and ends in torch's order: pairs, the last dimension first."""
    rank = len(pads) // 2
    return [p for axis in reversed(range(rank)) for p in (pads[axis], pads[axis + rank])]


def _read_fx_transpose(call: Call) -> Reading | None:
    given = call.arguments
    rank = spatial_rank(given["weight"])
    if rank is None or not given.get("transposed", True) or rank_of(given["input"]) != rank + 2:
        return None
    names = ("stride", "padding", "dilation", "output_padding")
    strides, pads, dilations, output_padding = (spread(given[name], rank) for name in names)
    if strides is None or pads is None or dilations is None or output_padding is None:
        return None
    attributes = {
        "strides": strides, "pads": pads * 2, "dilations": dilations, "groups": given["groups"],
        "output_padding": output_padding,
    }  # fmt: skip
    return Reading({"x": given["input"], "w": given["weight"], "b": given["bias"]}, attributes)


def _write_fx_transpose(node: Node) -> FxCall:
    pads, output_padding = _geometry(node, "pads"), _geometry(node, "output_padding")
    rank = len(pads) // 2
    # torch crops both ends alike; what ONNX crops less at the end is output padding.
    extra = [pads[axis] - pads[axis + rank] for axis in range(rank)]
    return fx_call(
        f"aten.conv_transpose{rank}d.{'default' if rank == 1 else 'input'}",
        tensor(node, "x"), tensor(node, "w"), optional_tensor(node, "b"),
        list(_geometry(node, "strides")), list(pads[:rank]),
        [o + e for o, e in zip(output_padding, extra, strict=True)],
        node.attributes["groups"], list(_geometry(node, "dilations")),
    )  # fmt: skip


# -- ONNX ----------------------------------------------------------------------------------------


def _read_onnx(call: Call) -> Reading | None:
    given = call.arguments
    rank = spatial_rank(given["W"])
    if rank is None:
        return None
    dilations = tuple(given.get("dilations") or (1,) * rank)
    strides = tuple(given.get("strides") or (1,) * rank)
    kernel = _static(given["W"].shape)
    if kernel is None and auto_pad(call).startswith("SAME"):
        return None
    pads = window_pads(call, kernel[2:] if kernel else (0,) * rank, strides, dilations)
    if pads is None:
        return None
    attributes = {
        "strides": strides, "pads": pads, "dilations": dilations, "groups": given["group"],
    }  # fmt: skip
    return Reading({"x": given["X"], "w": given["W"], "b": given.get("B")}, attributes)


def _read_onnx_transpose(call: Call) -> Reading | None:
    given = call.arguments
    rank, kernel = spatial_rank(given["W"]), _static(given["W"].shape)
    if rank is None or given.get("output_shape"):
        return None
    dilations = tuple(given.get("dilations") or (1,) * rank)
    strides = tuple(given.get("strides") or (1,) * rank)
    output_padding = tuple(given.get("output_padding") or (0,) * rank)
    pads = tuple(given.get("pads") or (0,) * (2 * rank))
    if (mode := auto_pad(call)) != "NOTSET":
        cropped = _cropped(mode, kernel, strides, dilations, output_padding)
        if cropped is None:
            return None
        pads = cropped
    attributes = {
        "strides": strides, "pads": pads, "dilations": dilations, "groups": given["group"],
        "output_padding": output_padding,
    }  # fmt: skip
    return Reading({"x": given["X"], "w": given["W"], "b": given.get("B")}, attributes)


def _cropped(
    mode: str,
    kernel: tuple[int, ...] | None,
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    output_padding: tuple[int, ...],
) -> tuple[int, ...] | None:
    """What SAME crops of a transposed convolution, so that it gives stride times the size; None
    where the kernel is shorter than the stride, and nothing can be cropped."""
    if mode == "VALID":
        return (0,) * (2 * len(strides))
    if kernel is None:
        return None
    each = zip(kernel[2:], strides, dilations, output_padding, strict=True)
    totals = [(k - 1) * d + 1 + o - s for k, s, d, o in each]
    return None if min(totals) < 0 else split(totals, mode)


def _write_onnx(node: Node, emitter: OnnxEmitter) -> None:
    _emit(node, emitter, "Conv")


def _write_onnx_transpose(node: Node, emitter: OnnxEmitter) -> None:
    _emit(node, emitter, "ConvTranspose", output_padding=_geometry(node, "output_padding"))


def _emit(node: Node, emitter: OnnxEmitter, op_type: str, **more: Any) -> None:
    w = tensor(node, "w")
    shape = _static(w.shape)
    emit_one(
        op_type, node, emitter, "x", "w", "b",
        kernel_shape=None if shape is None else shape[2:],
        strides=_geometry(node, "strides"), pads=_geometry(node, "pads"),
        dilations=_geometry(node, "dilations"), group=node.attributes["groups"], **more,
    )  # fmt: skip


# -- samples -------------------------------------------------------------------------------------


def _sample(rng: Rng) -> Sample:
    rank, groups = int(rng.integers(1, 4)), int(rng.choice([1, 2]))
    kernel = tuple(int(k) for k in rng.integers(1, 4, rank))
    pads = tuple(int(p) for p in rng.integers(0, 2, rank))
    w = normal(rng, 4, 6 // groups, *kernel) / np.float32(np.sqrt(6 * prod(kernel)))
    attributes: dict[str, Any] = {
        "strides": tuple(int(s) for s in rng.integers(1, 3, rank)), "pads": pads * 2,
        "dilations": tuple(int(d) for d in rng.integers(1, 3, rank)), "groups": groups,
    }  # fmt: skip
    b = normal(rng, 4) if rng.random() < 0.5 else None
    x = normal(rng, 2, 6, *(7,) * rank)
    return Sample({"x": x, "w": w, "b": b}, attributes, frozenset({"w", "b"}))


def _sample_transpose(rng: Rng) -> Sample:
    sample = _sample(rng)
    attributes: dict[str, Any] = dict(sample.attributes)
    w, groups = np.asarray(sample.operands["w"]), attributes["groups"]
    # Stored as [C, K / groups, ...]; the output padding has to stay below stride and dilation.
    turned = np.ascontiguousarray(w.reshape(6, 4 // groups, *w.shape[2:]))
    attributes["output_padding"] = (0,) * (w.ndim - 2)
    if min(attributes["strides"]) > 1:
        attributes["output_padding"] = (1,) * (w.ndim - 2)
    return Sample({**sample.operands, "w": turned}, attributes, sample.constants)


def _around(rng: Rng, given: Given) -> Sample | None:
    return _fitted(rng, given, turned=False)


def _around_transpose(rng: Rng, given: Given) -> Sample | None:
    return _fitted(rng, given, turned=True)


def _fitted(rng: Rng, given: Given, turned: bool) -> Sample | None:
    """A convolution of what is given; `turned` is a transposed one, whose weight is
    [C, K / groups, ...]."""
    x, w, asked = given.shape("x"), given.shape("w"), given.attributes
    rank = len(x or w or (0,) * int(rng.integers(3, 6))) - 2
    if not 1 <= rank <= 3:
        return None
    first, second = (w or (0, 0))[:2]
    groups: Any = asked.get("groups", int(rng.choice([1, 1, 2])))
    if w is None:
        channels = x[1] if x else 4
        if channels % groups:
            return None
        out = int(rng.choice([2, 4, 6]))
        first, second = (channels, out // groups) if turned else (out, channels // groups)
        kernel = tuple(int(k) for k in rng.integers(1, 4, rank))
    else:
        if x is not None and "groups" not in asked:
            groups = 1 if turned else max(x[1] // second, 1)
        kernel = w[2:]
    channels = first if turned else second * groups
    out = second * groups if turned else first
    if out % groups or channels % groups or (x is not None and x[1] != channels):
        return None
    pads = tuple(int(p) for p in rng.integers(0, 2, rank))
    attributes: dict[str, Any] = {
        "strides": tuple(int(s) for s in rng.integers(1, 3, rank)), "pads": pads * 2,
        "dilations": (1,) * rank, "groups": groups,
    }  # fmt: skip
    if turned:
        attributes["output_padding"] = (0,) * rank
    spread = np.float32(np.sqrt(second * prod(kernel)))
    operands = {
        "x": normal(rng, 2, channels, *(5,) * rank),
        "w": normal(rng, first, second, *kernel) / spread,
        "b": normal(rng, out),
    }
    return Sample(operands, attributes, frozenset({"w", "b"}))


GEOMETRY: dict[str, Any] = {
    "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": 1,
}  # fmt: skip

conv = Operator(
    name="nn.conv",
    doc="Convolution of x [N, C, ...] with w [K, C / groups, ...], plus b [K]; pads as in ONNX: "
    "all begins, then all ends.",
    operands=OPERANDS,
    attributes=GEOMETRY,
    weight=WeightSpec("w", lambda _: 0, lambda _: 1),
    # Each output element takes one window of C / groups channels.
    macs=lambda n: product(n.output.shape, shape_of(n, "w", 1)),
    fx=FxForm(
        (
            "aten.conv2d.default", "aten.conv2d.padding", "aten.conv1d.default",
            "aten.conv1d.padding", "aten.conv3d.default", "aten.conv3d.padding",
            "aten.convolution.default",
        ),
        _read_fx,
        _write_fx,
    ),
    onnx=OnnxForm(("Conv",), _read_onnx, _write_onnx),
    sample=_sample,
    around=_around,
)  # fmt: skip

conv_transpose = Operator(
    name="nn.conv_transpose",
    doc="Transposed convolution of x [N, C, ...] with w [C, K / groups, ...], plus b [K].",
    operands=OPERANDS,
    attributes={**GEOMETRY, "output_padding": (0, 0)},
    weight=WeightSpec("w", lambda _: 1, lambda _: 0),
    # Each input element is spread over K / groups channels of a window.
    macs=lambda n: product(shape_of(n, "x"), shape_of(n, "w", 1)),
    fx=FxForm(
        (
            "aten.conv_transpose2d.input", "aten.conv_transpose1d.default",
            "aten.conv_transpose3d.input", "aten.convolution.default",
        ),
        _read_fx_transpose,
        _write_fx_transpose,
    ),
    onnx=OnnxForm(("ConvTranspose",), _read_onnx_transpose, _write_onnx_transpose),
    sample=_sample_transpose,
    around=_around_transpose,
)  # fmt: skip

OPERATORS = (conv, conv_transpose)
