"""Tensors made of sizes alone: filled with one number, or counting up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparqc.errors import NoForm
from sparqc.ir.graph import Array, Attribute, Node, Value, dtype_name
from sparqc.ir.operators.shape import constant_ints, int64
from sparqc.ir.operators.sizes import plain_sizes, size_vector, sized, sized_list
from sparqc.ir.vocabulary.forms import (
    FLOATS,
    NUMPY_DTYPES,
    ONNX_DTYPES,
    Rng,
    fx_call,
    number,
    static_ints,
    tensor,
    tensors,
    torch_dtype,
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

# -- one number everywhere -----------------------------------------------------------------------

#: What stands in the tensors of each call; `empty` promises nothing.
_VALUES = {"zeros": 0, "ones": 1, "empty": 0, "new_zeros": 0, "new_ones": 1, "new_empty": 0}
_FULL = (
    "aten.full.default", "aten.zeros.default", "aten.ones.default", "aten.empty.memory_format",
    "aten.new_full.default", "aten.new_zeros.default", "aten.new_ones.default",
    "aten.new_empty.default",
)  # fmt: skip


def number_of(value: Any, dtype: str) -> Attribute:
    """A Python number as one of an element type (2.5 is 2 among integers); None where it is none.

    A symbolic number, a type outside the list, a NaN among integers.
    """
    if not isinstance(value, bool | int | float) or dtype not in NUMPY_DTYPES:
        return None
    if dtype == "bool":
        return bool(value)
    if dtype in FLOATS:
        return float(value)
    return int(value) if abs(value) < math.inf else None


def _filled(call: Call) -> dict[str, Attribute] | None:
    """The attributes of a call that fills a tensor; None where its number is computed."""
    given, dtype = call.arguments, call.types[0].dtype
    value = number_of(_VALUES.get(call.target.split(".")[1], given.get("fill_value")), dtype)
    return None if value is None else {"value": np.array([value], NUMPY_DTYPES[dtype])}


def _read_constant_of_shape(call: Call) -> Reading | None:
    attributes, sizes = _filled(call), static_ints(call.arguments["size"])
    if attributes is None or sizes is None:
        return None
    return Reading({"shape": int64(*sizes)}, attributes)


def _value(node: Node) -> Array:
    value = node.attributes["value"]
    assert isinstance(value, np.ndarray), f"{node.op} needs an array for its value"
    return value


def _write_filled(sizes: Any, node: Node) -> FxCall:
    value = _value(node)
    return _made("aten.full.default", sizes, value.item(), dtype=dtype_name(value.dtype))


def _made(target: str, *args: Any, dtype: str) -> FxCall:
    """A call that makes a tensor.  It names its device, so that a module that moves to another one
    can tell it so."""
    import torch  # which work on ONNX does without

    return fx_call(target, *args, dtype=torch_dtype(dtype), device=torch.device("cpu"))


def _read_constant_of_shape_onnx(call: Call) -> Reading | None:
    given = call.arguments.get("value")
    value = np.zeros(1, np.float32) if given is None else np.asarray(given).reshape(-1)
    return Reading({"shape": call.arguments["input"]}, {"value": value})


def emit_filled(shape: Value | str, value: Array, emitter: OnnxEmitter, output: Value) -> None:
    """A ConstantOfShape; with a Cast for bfloat16, which old ones do not have."""
    if dtype_name(value.dtype) != "bf16" or emitter.opset >= 20:
        emitter.emit("ConstantOfShape", [shape], {"value": value}, outputs=[output])
        return
    single = emitter.temp(f"{output.name}_f32")
    filled = {"value": value.astype(np.float32)}
    emitter.emit("ConstantOfShape", [shape], filled, outputs=[single])
    emitter.emit("Cast", [single], {"to": ONNX_DTYPES["bf16"]}, outputs=[output])


def _read_full(call: Call) -> Reading | None:
    attributes, sizes = _filled(call), sized_list(call.arguments["size"])
    return None if attributes is None or not sizes else Reading({"sizes": sizes}, attributes)


def _write_full_onnx(node: Node, emitter: OnnxEmitter) -> None:
    vector = size_vector(tensors(node, "sizes"), emitter, f"{node.output.name}_sizes")
    emit_filled(vector, _value(node), emitter, node.output)


# -- counting ------------------------------------------------------------------------------------

_BOUNDS = ("start", "limit", "delta")


def _read_range(call: Call) -> Reading | None:
    """Whole numbers alone: torch steps by fractions in another precision than ONNX."""
    given, dtype = call.arguments, call.types[0].dtype
    numbers = (given.get("start", 0), given["end"], given.get("step", 1))
    operands = {slot: sized(n) for slot, n in zip(_BOUNDS, numbers, strict=True)}
    if any(o is None for o in operands.values()) or dtype not in NUMPY_DTYPES:
        return None
    return Reading(operands, {"dtype": None if dtype == "i64" else dtype})


def _range_dtype(node: Node) -> str:
    """The element type of the result: that of the bounds where no other is asked for."""
    bounds_dtype = tensor(node, "start").type.dtype
    return str(node.attributes["dtype"] or ("i64" if bounds_dtype == "sym" else bounds_dtype))


def _write_range(node: Node) -> FxCall:
    given = (number(node, slot) for slot in _BOUNDS)
    bounds = [
        tensor(node, slot) if n is None else n for slot, n in zip(_BOUNDS, given, strict=True)
    ]
    return _made("aten.arange.start_step", *bounds, dtype=_range_dtype(node))


def _read_range_onnx(call: Call) -> Reading | None:
    return Reading({slot: call.arguments[slot] for slot in _BOUNDS})


def _write_range_onnx(node: Node, emitter: OnnxEmitter) -> None:
    bounds, dtype = [tensor(node, slot) for slot in _BOUNDS], node.attributes["dtype"]
    if dtype is None:
        emitter.emit("Range", bounds, outputs=node.outputs)
        return
    if dtype not in ONNX_DTYPES:
        raise NoForm(f"{node.output.name}: ONNX has no element type {dtype}")
    counted = emitter.temp(f"{node.output.name}_counted")
    emitter.emit("Range", bounds, outputs=[counted])
    emitter.emit("Cast", [counted], {"to": ONNX_DTYPES[str(dtype)]}, outputs=node.outputs)


# -- samples -------------------------------------------------------------------------------------


def _sample_value(rng: Rng) -> dict[str, Attribute]:
    dtype = str(rng.choice(["f32", "i64", "bool", "f16", "i32"]))
    return {"value": np.array([rng.choice([0, 1, -2.5])]).astype(NUMPY_DTYPES[dtype])}


def _sample_constant_of_shape(rng: Rng) -> Sample:
    shape = [int64(2, 3), int64(4), int64()][int(rng.integers(3))]
    return Sample({"shape": shape}, _sample_value(rng), frozenset({"shape"}))


def _sample_full(rng: Rng) -> Sample:
    sizes = [np.array(n, np.int64) for n in (2, 1, 3)]
    return Sample({"sizes": sizes}, _sample_value(rng), frozenset({"sizes"}))


def _sample_range(rng: Rng) -> Sample:
    bounds = [(0, 5, 1), (2, 9, 3), (4, -3, -2), (3, 3, 1)][int(rng.integers(4))]
    operands: dict[str, Array] = {
        slot: np.array(n, np.int64) for slot, n in zip(_BOUNDS, bounds, strict=True)
    }
    dtype = [None, "f32", "i32"][int(rng.integers(3))]
    return Sample(operands, {"dtype": dtype}, frozenset(_BOUNDS))


OPERATORS = (
    Operator(
        "nn.constant_of_shape", "A tensor of a shape (i64) that holds the one number of `value`.",
        (OperandSpec("shape"),), {"value": REQUIRED}, sample=_sample_constant_of_shape,
        fx=FxForm(_FULL, _read_constant_of_shape,
                  lambda n: _write_filled(constant_ints(n, "shape"), n)),
        onnx=OnnxForm(("ConstantOfShape",), _read_constant_of_shape_onnx,
                      lambda n, e: emit_filled(tensor(n, "shape"), _value(n), e, n.output)),
    ),
    Operator(
        "nn.full", "A tensor of sizes, some symbolic, that holds the one number of `value`.",
        (OperandSpec("sizes", variadic=True),), {"value": REQUIRED}, sample=_sample_full,
        fx=FxForm(_FULL, _read_full,
                  lambda n: _write_filled(plain_sizes(tensors(n, "sizes")), n)),
        onnx=written_as_others(_write_full_onnx),
    ),
    Operator(
        "nn.range", "The numbers from start up to the limit, which is left out, in steps of delta; "
        "in another element type where `dtype` says so.",
        tuple(OperandSpec(slot) for slot in _BOUNDS), {"dtype": None}, sample=_sample_range,
        fx=FxForm(("aten.arange.default", "aten.arange.start", "aten.arange.start_step"),
                  _read_range, _write_range),
        onnx=OnnxForm(("Range",), _read_range_onnx, _write_range_onnx),
    ),
)  # fmt: skip
