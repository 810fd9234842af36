"""Running sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    FLOATS,
    NUMPY_DTYPES,
    ONNX_DTYPES,
    Rng,
    X,
    axes_of,
    fx_call,
    integer,
    normal,
    rank_of,
    tensor,
    torch_dtype,
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

#: The element types that ONNX sums.
_SUMMED = FLOATS | {"i64", "i32"}


def _read(call: Call) -> Reading | None:
    x, rank = call.arguments["self"], rank_of(call.arguments["self"])
    input_dtype, dtype = x.type.dtype, call.types[0].dtype
    if not rank or input_dtype not in NUMPY_DTYPES or dtype not in _SUMMED:
        return None  # ONNX counts along an axis, which a single number has not
    axis = wrap(call.arguments["dim"], rank)
    return Reading({"x": x}, {"axis": axis, "dtype": None if dtype == input_dtype else dtype})


def _write(node: Node) -> FxCall:
    """torch has neither flag: a reverse sum is that of the flipped tensor, an exclusive one less
    the number itself."""
    x, axis = tensor(node, "x"), integer(node, "axis")
    dtype = torch_dtype(str(node.attributes["dtype"] or x.type.dtype))
    summed: Any = x
    if node.attributes["reverse"]:
        summed = fx_call("aten.flip.default", summed, [axis])
    summed = fx_call("aten.cumsum.default", summed, axis, dtype=dtype)
    if node.attributes["reverse"]:
        summed = fx_call("aten.flip.default", summed, [axis])
    return fx_call("aten.sub.Tensor", summed, x) if node.attributes["exclusive"] else summed


def _read_onnx(call: Call) -> Reading | None:
    x, axes = call.arguments["x"], axes_of(call, "axis")
    rank = rank_of(x)
    if axes is None or len(axes) != 1 or (rank is None and axes[0] < 0):
        return None
    flags = {name: bool(call.arguments[name]) for name in ("exclusive", "reverse")}
    return Reading({"x": x}, {"axis": wrap(axes[0], rank or 0), **flags})


def _write_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x: Value | str = tensor(node, "x")
    hint, dtype = node.output.name, node.attributes["dtype"]
    if dtype is not None:
        cast = emitter.temp(f"{hint}_cast")
        emitter.emit("Cast", [x], {"to": ONNX_DTYPES[str(dtype)]}, outputs=[cast])
        x = cast
    axis = emitter.constant(np.array(integer(node, "axis"), np.int64), f"{hint}_axis")
    flags = {name: int(bool(node.attributes[name])) for name in ("exclusive", "reverse")}
    emitter.emit("CumSum", [x, axis], flags, outputs=node.outputs)


def _sample(rng: Rng) -> Sample:
    """Floats with both flags, and counting integers and truth values."""
    axis = int(rng.integers(3))
    if rng.random() < 0.5:
        flags = {name: bool(rng.integers(2)) for name in ("exclusive", "reverse")}
        dtype = [None, "f64"][int(rng.integers(2))]
        return Sample({"x": normal(rng, 2, 3, 4)}, {"axis": axis, "dtype": dtype, **flags})
    x = rng.integers(0, 2, (2, 3, 4))
    cases = ((x, None), (x, "i32"), (x, "f32"), (x > 0, "i64"))
    given, dtype = cases[int(rng.integers(4))]
    return Sample({"x": given}, {"axis": axis, "dtype": dtype})


OPERATORS = (
    Operator(
        "nn.cumsum", "The sum of the numbers up to each along an axis: without that number itself "
        "where exclusive, from the end where reverse, in another element type where one is given.",
        X, {"axis": REQUIRED, "exclusive": False, "reverse": False, "dtype": None}, sample=_sample,
        fx=FxForm(("aten.cumsum.default",), _read, _write),
        onnx=OnnxForm(("CumSum",), _read_onnx, _write_onnx),
    ),
)  # fmt: skip
