"""Numbers written to, or added at, places that indices name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sparqc.errors import NoForm
from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    FLOATS,
    NUMPY_DTYPES,
    Rng,
    fx_call,
    integer,
    normal,
    rank_of,
    static_ints,
    tensor,
    wrap,
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

#: What ONNX calls each of torch's reductions, and since which opset it has it.
_REDUCTIONS = {"sum": ("add", 16), "prod": ("mul", 16), "amax": ("max", 18), "amin": ("min", 18)}
_TORCH = {word: ours for ours, (word, _) in _REDUCTIONS.items()}
_SINCE = {"none": 11, **dict(_REDUCTIONS.values())}
#: The element types that ONNX adds up and compares.
_ADDED = FLOATS | {"i64", "i32"}


# -- an index for each number --------------------------------------------------------------------


def _read_elements(call: Call) -> Reading | None:
    given, packet = call.arguments, call.target.split(".")[1].rstrip("_")
    x, indices, updates = given["self"], given["index"], given["src"]
    word = {"scatter": "none", "scatter_add": "add"}.get(packet)
    if packet == "scatter_reduce" and given["include_self"]:
        word, _ = _REDUCTIONS.get(given["reduce"], (None, 0))
    if word is None or not rank_of(x) or not rank_of(x) == rank_of(indices) == rank_of(updates):
        return None
    if indices.type.dtype != "i64" or (word != "none" and x.type.dtype not in _ADDED):
        return None
    operands = {"x": x, "indices": indices, "updates": updates}
    return Reading(operands, {"axis": wrap(given["dim"], rank_of(x) or 0), "reduction": word})


def _write_elements(node: Node) -> FxCall:
    x, indices, updates = (tensor(node, slot) for slot in ("x", "indices", "updates"))
    word, given = str(node.attributes["reduction"]), (x, integer(node, "axis"), indices, updates)
    if word == "none":
        return fx_call("aten.scatter.src", *given)
    if word == "add":
        return fx_call("aten.scatter_add.default", *given)
    return fx_call("aten.scatter_reduce.two", *given, _TORCH[word])


def _read_elements_onnx(call: Call) -> Reading | None:
    given, rank = call.arguments, rank_of(call.arguments["data"])
    if given["axis"] < 0 and rank is None:
        return None
    operands = {"x": given["data"], "indices": given["indices"], "updates": given["updates"]}
    word = given.get("reduction") or "none"
    return Reading(operands, {"axis": wrap(given["axis"], rank or 0), "reduction": word})


def _write_elements_onnx(node: Node, emitter: OnnxEmitter) -> None:
    """ONNX wants an update for each index; torch leaves those alone that have none."""
    indices, updates = tensor(node, "indices"), tensor(node, "updates")
    cut = updates if indices.shape == updates.shape else _cut(updates, indices, emitter, node)
    _scatter(node, emitter, indices, cut, str(node.attributes["reduction"]))


def _cut(updates: Value, indices: Value, emitter: OnnxEmitter, node: Node) -> str:
    """The first numbers along each axis, as many as there are indices."""
    hint, sizes = node.output.name, static_ints(indices.shape)
    ends: Value | str
    if sizes is None:
        ends = emitter.temp(f"{hint}_sizes")
        emitter.emit("Shape", [indices], outputs=[ends])
    else:
        ends = emitter.constant(np.array(sizes, np.int64), f"{hint}_sizes")
    starts = emitter.constant(np.zeros(rank_of(indices) or 0, np.int64), f"{hint}_starts")
    cut = emitter.temp(f"{hint}_cut")
    emitter.emit("Slice", [updates, starts, ends], outputs=[cut])
    return cut


def _scatter(
    node: Node, emitter: OnnxEmitter, indices: Value | str, updates: Value | str, word: str
) -> None:
    if emitter.opset < _SINCE[word]:
        raise NoForm(
            f"{node.output.name}: ScatterElements with reduction={word!r} needs opset "
            f"{_SINCE[word]}"
        )
    attributes = {"axis": integer(node, "axis"), "reduction": None if word == "none" else word}
    emitter.emit(
        "ScatterElements", [tensor(node, "x"), indices, updates], attributes, outputs=node.outputs
    )


def _sample_elements(rng: Rng) -> Sample:
    axis, word = int(rng.integers(2)), str(rng.choice(["none", "add"]))
    indices = np.stack([rng.permutation(3) for _ in range(2)]) % (3 if axis else 2)
    updates = normal(rng, 2, 3)
    if word == "none" and not axis:  # two updates of one place have no order
        indices = np.array([[1, 0, 1]])
        updates = updates[:1]
    return Sample(
        {"x": normal(rng, 2, 3), "indices": indices, "updates": updates},
        {"axis": axis, "reduction": word},
    )


# -- an index for each slice ---------------------------------------------------------------------


def _reads(*names: str) -> Callable[[Call], Reading | None]:
    def read(call: Call) -> Reading | None:
        given, x, indices = call.arguments, call.arguments["self"], call.arguments["index"]
        if not rank_of(x) or rank_of(given["source"]) != rank_of(x) or rank_of(indices) is None:
            return None
        if indices.type.dtype not in ("i64", "i32") or x.type.dtype not in _ADDED:
            return None
        more = {name: given[name] for name in names}
        if not all(isinstance(value, int | float) for value in more.values()):
            return None
        operands = {"x": x, "indices": indices, "updates": given["source"]}
        return Reading(operands, {"axis": wrap(given["dim"], rank_of(x) or 0), **more})

    return read


def _write_add(node: Node) -> FxCall:
    alpha = node.attributes["alpha"]
    return _slices("aten.index_add.default", node, **({} if alpha == 1 else {"alpha": alpha}))


def _write_copy(node: Node) -> FxCall:
    return _slices("aten.index_copy.default", node)


def _slices(target: str, node: Node, **more: Any) -> FxCall:
    x, indices, updates = (tensor(node, slot) for slot in ("x", "indices", "updates"))
    return fx_call(target, x, integer(node, "axis"), indices, updates, **more)


def _write_add_onnx(node: Node, emitter: OnnxEmitter) -> None:
    updates, alpha = tensor(node, "updates"), node.attributes["alpha"]
    scaled: Value | str = updates
    if alpha != 1:
        hint = f"{node.output.name}_alpha"
        factor = emitter.constant(np.array(alpha, NUMPY_DTYPES[updates.type.dtype]), hint)
        scaled = emitter.temp(hint)
        emitter.emit("Mul", [updates, factor], outputs=[scaled])
    _scatter(node, emitter, _spread(node, emitter), scaled, "add")


def _write_copy_onnx(node: Node, emitter: OnnxEmitter) -> None:
    _scatter(node, emitter, _spread(node, emitter), tensor(node, "updates"), "none")


def _spread(node: Node, emitter: OnnxEmitter) -> Value | str:
    """The indices of slices repeated for each number of the slices."""
    indices, updates, axis = tensor(node, "indices"), tensor(node, "updates"), integer(node, "axis")
    hint, rank = node.output.name, rank_of(updates) or 0
    others = [n for n in range(rank) if n != axis or not rank_of(indices)]
    along: Value | str = indices
    if others:
        along = emitter.temp(f"{hint}_along")
        axes = emitter.constant(np.array(others, np.int64), f"{hint}_axes")
        emitter.emit("Unsqueeze", [indices, axes], outputs=[along])
    sizes, shape = static_ints(updates.shape), emitter.temp(f"{hint}_shape")
    if sizes is None:
        emitter.emit("Shape", [updates], outputs=[shape])
    else:
        shape = emitter.constant(np.array(sizes, np.int64), f"{hint}_shape")
    places = emitter.temp(f"{hint}_places")
    emitter.emit("Expand", [along, shape], outputs=[places])
    return places


def _sample_add(rng: Rng) -> Sample:
    """Indices that come again; an axis of one element, too."""
    size, axis = [(1, 0), (3, 1), (4, 2)][int(rng.integers(3))]
    shape = tuple(size if n == axis else 2 for n in range(3))
    indices = np.array([size - 1, 0, 0], str(rng.choice(["int64", "int32"])))
    part = tuple(3 if n == axis else 2 for n in range(3))
    operands = {"x": normal(rng, *shape), "indices": indices, "updates": normal(rng, *part)}
    return Sample(operands, {"axis": axis, "alpha": [1, 2, -0.5][int(rng.integers(3))]})


def _sample_copy(rng: Rng) -> Sample:
    axis, indices = int(rng.integers(3)), rng.permutation(4)[:2]
    shape, part = (tuple(n if i == axis else 3 for i in range(3)) for n in (4, 2))
    operands = {"x": normal(rng, *shape), "indices": indices, "updates": normal(rng, *part)}
    return Sample(operands, {"axis": axis})


def _both(packet: str, overload: str = "default") -> tuple[str, str]:
    """The call that gives a new tensor, and the one that changes its own."""
    return f"aten.{packet}.{overload}", f"aten.{packet}_.{overload}"


_XIU = (OperandSpec("x"), OperandSpec("indices"), OperandSpec("updates"))

OPERATORS = (
    Operator(
        "nn.scatter_elements", "x with each update written to, or reduced with (add, mul, max, "
        "min), the number whose place along an axis is the index that stands in its place.", _XIU,
        {"axis": 0, "reduction": "none"}, sample=_sample_elements,
        fx=FxForm((*_both("scatter", "src"), *_both("scatter_add"),
                   *_both("scatter_reduce", "two")), _read_elements, _write_elements),
        onnx=OnnxForm(("ScatterElements",), _read_elements_onnx, _write_elements_onnx),
    ),
    Operator(
        "nn.index_add", "x with alpha times the slices of the updates added at these indices along "
        "an axis.", _XIU, {"axis": REQUIRED, "alpha": 1}, sample=_sample_add,
        fx=FxForm(_both("index_add"), _reads("alpha"), _write_add),
        onnx=written_as_others(_write_add_onnx),
    ),
    Operator(
        "nn.index_copy", "x with its slices at these indices along an axis replaced by those of "
        "the updates.", _XIU, {"axis": REQUIRED}, sample=_sample_copy,
        fx=FxForm(_both("index_copy"), _reads(), _write_copy),
        onnx=written_as_others(_write_copy_onnx),
    ),
)  # fmt: skip
