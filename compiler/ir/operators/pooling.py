"""Pooling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparqc.errors import NoForm
from sparqc.ir.graph import Node
from sparqc.ir.vocabulary.auto_pad import auto_pad, window_pads
from sparqc.ir.vocabulary.forms import (
    NUMPY_DTYPES,
    Rng,
    X,
    emit_one,
    fx_call,
    integer,
    ints,
    normal,
    rank_of,
    spread,
    static_ints,
    tensor,
    written_as_others,
)
from sparqc.ir.vocabulary.operator import (
    REQUIRED,
    Call,
    FxCall,
    FxForm,
    Given,
    OnnxEmitter,
    OnnxForm,
    Operator,
    Reading,
    Sample,
)


def _dimensions(call: Call) -> int | None:
    """The spatial rank that an overload such as max_pool2d stands for, if x has a batch too."""
    packet = call.target.split(".")[1]
    rank = int(packet[packet.index("d", packet.index("pool")) - 1])
    return rank if rank_of(call.arguments["self"]) == rank + 2 else None


def _windows(call: Call, rank: int) -> dict[str, Any] | None:
    """Kernel, strides (the kernel where not given) and pads."""
    given = call.arguments
    kernel, padding = spread(given["kernel_size"], rank), spread(given["padding"], rank)
    strides = spread(given["stride"] or given["kernel_size"], rank)
    if kernel is None or padding is None or strides is None:
        return None
    return {"kernel_shape": kernel, "strides": strides, "pads": padding * 2}


def _geometry(node: Node) -> tuple[int, list[int], list[int], list[int], Any]:
    """Rank, kernel, strides, torch's one-sided padding, and x, padded first where uneven."""
    kernel = list(ints(node, "kernel_shape"))
    rank = len(kernel)
    strides, pads = _for_rank(node, "strides", rank), _for_rank(node, "pads", 2 * rank)
    return rank, kernel, strides, pads, tensor(node, "x")


def _for_rank(node: Node, name: str, length: int) -> list[int]:
    """A list of that length; the defaults are those of 2-D, other ranks spread them."""
    items = ints(node, name)
    return list(items) if len(items) == length else [items[0]] * length


def _even(pads: list[int], x: Any, fill: float) -> tuple[list[int], Any]:
    """torch pads both ends alike; what differs is padded in a call of its own."""
    rank = len(pads) // 2
    if pads[:rank] == pads[rank:]:
        return pads[:rank], x
    pairs = [p for axis in reversed(range(rank)) for p in (pads[axis], pads[axis + rank])]
    return [0] * rank, fx_call("aten.constant_pad_nd.default", x, pairs, fill)


# -- max -----------------------------------------------------------------------------------------


def _read_max(call: Call) -> Reading | None:
    rank = _dimensions(call)
    attributes = None if rank is None else _windows(call, rank)
    if rank is None or attributes is None:
        return None
    attributes["dilations"] = spread(call.arguments["dilation"], rank)
    attributes["ceil_mode"] = call.arguments["ceil_mode"]
    return Reading({"x": call.arguments["self"]}, attributes)


def _write_max(node: Node) -> FxCall:
    rank, kernel, strides, pads, x = _geometry(node)
    padding, x = _even(pads, x, float("-inf"))
    dilations = _for_rank(node, "dilations", rank)
    return fx_call(
        f"aten.max_pool{rank}d.default", x, kernel, strides, padding, dilations,
        node.attributes["ceil_mode"],
    )  # fmt: skip


def _read_window_onnx(call: Call) -> dict[str, Any] | None:
    given = call.arguments
    kernel = tuple(given["kernel_shape"])
    strides = tuple(given.get("strides") or (1,) * len(kernel))
    pads = window_pads(call, kernel, strides, given.get("dilations") or (1,) * len(kernel))
    if len(call.types) > 1 or pads is None:
        return None  # the indices, and pads that depend on a size not known, have no attribute
    same = auto_pad(call).startswith("SAME")
    return {
        "kernel_shape": kernel,
        "strides": strides,
        "pads": pads,
        "ceil_mode": bool(given.get("ceil_mode")) and not same,  # the pads give all outputs
    }


def _read_max_onnx(call: Call) -> Reading | None:
    attributes = _read_window_onnx(call)
    if attributes is None or call.arguments.get("storage_order"):
        return None
    rank = len(attributes["kernel_shape"])
    attributes["dilations"] = tuple(call.arguments.get("dilations") or (1,) * rank)
    return Reading({"x": call.arguments["X"]}, attributes)


def _window_attributes(node: Node) -> dict[str, Any]:
    _, kernel, strides, pads, _ = _geometry(node)
    ceil_mode = int(bool(node.attributes["ceil_mode"]))
    return {"kernel_shape": kernel, "strides": strides, "pads": pads, "ceil_mode": ceil_mode}


def _write_max_onnx(node: Node, emitter: OnnxEmitter) -> None:
    attributes = _window_attributes(node)
    dilations = _for_rank(node, "dilations", len(attributes["kernel_shape"]))
    # Readers refuse pools with dilations, some of them even where all are 1.
    if any(d != 1 for d in dilations):
        attributes["dilations"] = dilations
    emit_one("MaxPool", node, emitter, "x", **attributes)


# -- average -------------------------------------------------------------------------------------


def _read_average(call: Call) -> Reading | None:
    rank, given = _dimensions(call), call.arguments
    attributes = None if rank is None else _windows(call, rank)
    if attributes is None or given.get("divisor_override") is not None:
        return None
    attributes |= {name: given[name] for name in ("ceil_mode", "count_include_pad")}
    return Reading({"x": given["self"]}, attributes)


def _write_average(node: Node) -> FxCall:
    rank, kernel, strides, pads, x = _geometry(node)
    padding, x = _even(pads, x, 0.0)
    return fx_call(
        f"aten.avg_pool{rank}d.default", x, kernel, strides, padding,
        node.attributes["ceil_mode"], node.attributes["count_include_pad"],
    )  # fmt: skip


def _read_average_onnx(call: Call) -> Reading | None:
    attributes = _read_window_onnx(call)
    if attributes is None or any(d != 1 for d in call.arguments.get("dilations") or ()):
        return None
    attributes["count_include_pad"] = bool(call.arguments.get("count_include_pad"))
    rank = len(attributes["kernel_shape"])
    uneven = attributes["pads"][:rank] != attributes["pads"][rank:]
    if uneven and not attributes["count_include_pad"]:
        return None  # torch has no such pool
    return Reading({"x": call.arguments["X"]}, attributes)


def _write_average_onnx(node: Node, emitter: OnnxEmitter) -> None:
    include = int(bool(node.attributes["count_include_pad"]))
    attributes = _window_attributes(node)
    emit_one("AveragePool", node, emitter, "x", **attributes, count_include_pad=include)


# -- sums ----------------------------------------------------------------------------------------


def _read_sums(call: Call) -> Reading | None:
    """torch's `divisor_override`: what is padded counts neither way, as nothing is counted."""
    rank, given = _dimensions(call), call.arguments
    attributes = None if rank is None else _windows(call, rank)
    if attributes is None or given.get("divisor_override") is None:
        return None
    attributes |= {"ceil_mode": given["ceil_mode"], "divisor": given["divisor_override"]}
    return Reading({"x": given["self"]}, attributes)


def _write_sums(node: Node) -> FxCall:
    rank, kernel, strides, pads, x = _geometry(node)
    padding, x = _even(pads, x, 0.0)
    return fx_call(
        f"aten.avg_pool{rank}d.default", x, kernel, strides, padding,
        node.attributes["ceil_mode"], True, node.attributes["divisor"],
    )  # fmt: skip


def _write_sums_onnx(node: Node, emitter: OnnxEmitter) -> None:
    """A mean of whole windows, by another number; those of `ceil_mode` are made whole by pads."""
    x, attributes, hint = tensor(node, "x"), _window_attributes(node), node.output.name
    if attributes.pop("ceil_mode"):
        attributes["pads"] = _covering(node, attributes)
    means = emitter.temp(hint)
    emitter.emit("AveragePool", [x], {**attributes, "count_include_pad": 1}, outputs=[means])
    factor = math.prod(attributes["kernel_shape"]) / integer(node, "divisor")
    factors = emitter.constant(np.array(factor, NUMPY_DTYPES[x.type.dtype]), f"{hint}_factor")
    emitter.emit("Mul", [means, factors], outputs=node.outputs)


def _covering(node: Node, attributes: dict[str, Any]) -> list[int]:
    """The pads with which the last windows of `ceil_mode` reach over nothing else."""
    kernel, strides, pads = (attributes[name] for name in ("kernel_shape", "strides", "pads"))
    sizes, rank = static_ints((tensor(node, "x").shape or ())[2:]), len(kernel)
    if sizes is None or len(sizes) != rank:
        raise NoForm(f"{node.output.name}: ceil_mode with a divisor needs the sizes of its input")
    ends = []
    for axis, size in enumerate(sizes):
        first, end, step = pads[axis], pads[axis + rank], strides[axis]
        steps = -(-(size + first + end - kernel[axis]) // step)
        if steps * step >= size + first:  # no window begins in the padding behind
            steps -= 1
        ends.append(max(end, steps * step + kernel[axis] - size - first))
    return [*pads[:rank], *ends]


# -- adaptive ------------------------------------------------------------------------------------


def _read_adaptive(call: Call) -> Reading | None:
    rank = _dimensions(call)
    size = None if rank is None else spread(call.arguments["output_size"], rank)
    return None if size is None else Reading({"x": call.arguments["self"]}, {"output_size": size})


def _read_global(call: Call) -> Reading | None:
    reading = _read_adaptive(call)
    if reading is None or set(static_ints(reading.attributes["output_size"]) or ()) != {1}:
        return None
    return Reading(reading.operands)


def _write_adaptive(node: Node) -> FxCall:
    size = list(ints(node, "output_size"))
    return fx_call(f"aten.adaptive_avg_pool{len(size)}d.default", tensor(node, "x"), size)


def _write_global(node: Node) -> FxCall:
    x = tensor(node, "x")
    rank = (x.type.rank or 4) - 2
    return fx_call(f"aten.adaptive_avg_pool{rank}d.default", x, [1] * rank)


# -- samples -------------------------------------------------------------------------------------


def _sample_max(rng: Rng) -> Sample:
    attributes = _sample_window(rng)
    attributes["dilations"] = (int(rng.integers(1, 3)),) * len(attributes["kernel_shape"])
    return Sample({"x": normal(rng, 2, 3, *(9,) * len(attributes["kernel_shape"]))}, attributes)


def _sample_average(rng: Rng) -> Sample:
    attributes = _sample_window(rng)
    attributes["count_include_pad"] = bool(rng.integers(2))
    return Sample({"x": normal(rng, 2, 3, *(9,) * len(attributes["kernel_shape"]))}, attributes)


def _around_average(rng: Rng, given: Given) -> Sample | None:
    """At times windows of one element, or one window of the whole map."""
    x = given.shape("x") or (2, 3, *(7, 5, 6)[: int(rng.integers(1, 4))])
    rank = len(x) - 2
    if not 1 <= rank <= 3:
        return None
    attributes = _sample_window(rng, rank)
    attributes["count_include_pad"] = bool(rng.integers(2))
    case = int(rng.integers(5))
    if case:
        size = x[2:] if case < 3 else (1,) * rank
        attributes |= {"kernel_shape": size, "pads": (0,) * 2 * rank}
        attributes["strides"] = size if rng.random() < 0.7 else attributes["strides"]
    return Sample({"x": normal(rng, *x)}, attributes)


def _around_adaptive(rng: Rng, given: Given) -> Sample | None:
    """At times a size that divides that of the map."""
    x = given.shape("x") or (2, 3, 6, 4)
    divisors = [[d for d in range(1, size + 1) if size % d == 0] for size in x[2:]]
    size = tuple(int(rng.choice([*d, *d, int(rng.integers(1, 5))])) for d in divisors)
    return Sample({"x": normal(rng, *x)}, {"output_size": size}) if len(x) == 4 else None


def _sample_sums(rng: Rng) -> Sample:
    rank = int(rng.integers(2, 4))
    attributes = _sample_window(rng, rank) | {"divisor": int(rng.integers(1, 12))}
    return Sample({"x": normal(rng, 2, 3, *(9,) * rank)}, attributes)


def _sample_window(rng: Rng, rank: int = 0) -> dict[str, Any]:
    rank = rank or int(rng.integers(1, 4))
    pad = int(rng.integers(0, 2))
    return {
        "kernel_shape": tuple(int(k) for k in rng.integers(2, 4, rank)),
        "strides": tuple(int(s) for s in rng.integers(1, 3, rank)),
        "pads": (pad,) * 2 * rank,
        "ceil_mode": bool(rng.integers(2)),
    }


def _sample_global(rng: Rng) -> Sample:
    return Sample({"x": normal(rng, 2, 3, *(5,) * int(rng.integers(1, 4)))})


def _sample_adaptive(rng: Rng) -> Sample:
    size = tuple(int(s) for s in rng.integers(2, 5, 2))
    return Sample({"x": normal(rng, 2, 3, 6, 6)}, {"output_size": size})


def _overloads(packet: str) -> tuple[str, ...]:
    return tuple(f"aten.{packet}{rank}d.default" for rank in (1, 2, 3))


_WINDOW: dict[str, Any] = {"kernel_shape": REQUIRED, "strides": (1, 1), "pads": (0, 0, 0, 0)}

OPERATORS = (
    Operator(
        "nn.max_pool", "The largest number of each window.", X,
        {**_WINDOW, "dilations": (1, 1), "ceil_mode": False},
        traits=("spatial", "selects"), sample=_sample_max,
        fx=FxForm((*_overloads("max_pool"), "aten.max_pool2d_with_indices.default",
                   "aten.max_pool3d_with_indices.default"), _read_max, _write_max),
        onnx=OnnxForm(("MaxPool",), _read_max_onnx, _write_max_onnx),
    ),
    Operator(
        "nn.average_pool", "The mean of each window, with or without the padding.", X,
        {**_WINDOW, "ceil_mode": False, "count_include_pad": False},
        traits=("spatial", "homogeneous", "monotone"), sample=_sample_average,
        around=_around_average,
        fx=FxForm(_overloads("avg_pool"), _read_average, _write_average),
        onnx=OnnxForm(("AveragePool",), _read_average_onnx, _write_average_onnx),
    ),
    Operator(
        "nn.sum_pool", "The sum of each window, by a divisor; padding is 0.", X,
        {**_WINDOW, "ceil_mode": False, "divisor": 1},
        traits=("spatial", "homogeneous"), sample=_sample_sums,
        fx=FxForm(_overloads("avg_pool"), _read_sums, _write_sums),
        onnx=written_as_others(_write_sums_onnx),
    ),
    Operator(
        "nn.global_average_pool", "The mean over all spatial dimensions, which stay as 1.", X,
        traits=("spatial", "homogeneous", "monotone"), sample=_sample_global,
        fx=FxForm(_overloads("adaptive_avg_pool"), _read_global, _write_global),
        onnx=OnnxForm(("GlobalAveragePool",), lambda c: Reading({"x": c.arguments["X"]}),
                      lambda n, e: emit_one("GlobalAveragePool", n, e, "x")),
    ),
    Operator(
        "nn.adaptive_average_pool", "The means of windows that tile x to the output size.", X,
        {"output_size": REQUIRED},
        traits=("spatial", "homogeneous", "monotone"), sample=_sample_adaptive,
        around=_around_adaptive,
        fx=FxForm((*_overloads("adaptive_avg_pool"), "aten._adaptive_avg_pool2d.default"),
                  _read_adaptive, _write_adaptive),
    ),
)  # fmt: skip
