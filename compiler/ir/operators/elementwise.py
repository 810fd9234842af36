"""Arithmetic on two tensors that broadcast, and on one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    Rng,
    emit_one,
    fx_call,
    normal,
    number,
    onnx_inputs,
    same_type,
    sample_positive,
    tensor,
    unary,
)
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
)

AB = (OperandSpec("a"), OperandSpec("b"))


# -- FX ------------------------------------------------------------------------------------------


def _read_pair(call: Call) -> Reading | None:
    """self and other of one type; a factor alpha on other is not in the vocabulary."""
    given = call.arguments
    if given.get("alpha", 1) != 1 or given.get("rounding_mode") is not None:
        return None
    if call.target == "aten.square.default":
        return same_type(call, a=given["self"], b=given["self"])
    if call.target.startswith("aten.rsub."):
        return same_type(call, a=given["other"], b=given["self"])
    return same_type(call, a=given["self"], b=given["other"])


def _read_pow(call: Call) -> Reading | None:
    return same_type(call, a=call.arguments["self"], b=call.arguments["exponent"])


def _scalar_or_tensor(node: Node, slot: str) -> Any:
    scalar = number(node, slot)
    return tensor(node, slot) if scalar is None else scalar


def _writes(target: str, *, swaps: bool = False) -> Callable[[Node], FxCall]:
    """A call self, other, where other may be a number, as the user's source had it."""

    def write(node: Node) -> FxCall:
        a, b = tensor(node, "a"), _scalar_or_tensor(node, "b")
        if swaps and number(node, "a") is not None and isinstance(b, Value):
            a, b = b, number(node, "a")
        return fx_call(target, a, b)

    return write


def _write_sub(node: Node) -> FxCall:
    a = number(node, "a")
    if a is not None and number(node, "b") is None:
        return fx_call("aten.rsub.Scalar", tensor(node, "b"), a)
    return fx_call("aten.sub.Tensor", tensor(node, "a"), _scalar_or_tensor(node, "b"))


def _write_pow(node: Node) -> FxCall:
    a, b = number(node, "a"), number(node, "b")
    if b is not None:
        return fx_call("aten.pow.Tensor_Scalar", tensor(node, "a"), b)
    if a is not None:
        return fx_call("aten.pow.Scalar", a, tensor(node, "b"))
    return fx_call("aten.pow.Tensor_Tensor", tensor(node, "a"), tensor(node, "b"))


def _overloads(packet: str, *overloads: str) -> tuple[str, ...]:
    return tuple(f"aten.{p}.{o}" for o in overloads for p in (packet, packet + "_"))


# -- ONNX ----------------------------------------------------------------------------------------


def _onnx(op_type: str) -> OnnxForm:
    def read(call: Call) -> Reading | None:
        a, b = (call.arguments[name] for name in onnx_inputs(op_type))
        return Reading({"a": a, "b": b})

    def write(node: Node, emitter: OnnxEmitter) -> None:
        emit_one(op_type, node, emitter, "a", "b")

    return OnnxForm((op_type,), read, write)


def _onnx_variadic(op_type: str) -> OnnxForm:
    """Min and Max take any number of inputs; the vocabulary takes two."""

    def read(call: Call) -> Reading | None:
        values = call.arguments["data_0"]
        return Reading({"a": values[0], "b": values[1]}) if len(values) == 2 else None

    def write(node: Node, emitter: OnnxEmitter) -> None:
        emit_one(op_type, node, emitter, "a", "b")

    return OnnxForm((op_type,), read, write)


# -- samples -------------------------------------------------------------------------------------


def _sample(rng: Rng) -> Sample:
    """Two tensors that broadcast in one of the ways that networks use."""
    shapes = (((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (3, 1)), ((2, 1, 4), (2, 3, 1)), ((2, 3), ()))
    a, b = shapes[int(rng.integers(len(shapes)))]
    constants = frozenset({"b"}) if not b or rng.random() < 0.3 else frozenset()
    # Away from zero: a quotient stays comparable between two libraries.
    return Sample({"a": normal(rng, *a), "b": normal(rng, *b) + np.float32(3)}, {}, constants)


def _around(rng: Rng, given: Given) -> Sample | None:
    """Beside one that is given: a number, one for each channel, a tensor that broadcasts, one that
    makes the result larger."""
    shape = given.shape("a")
    shape = given.shape("b") if shape is None else shape
    shape = (2, 3, 4)[int(rng.integers(3)) :] if shape is None else shape
    ones = (1,) * len(shape)
    shapes = [
        (), (), (), shape[-1:], shape, ones[:1] + shape[1:2] + ones[2:], shape[1:2] + ones[2:],
        (3, *shape), tuple(3 if d == 1 else d for d in shape), ones,
    ]  # fmt: skip
    other = shapes[int(rng.integers(len(shapes)))]
    number = rng.choice([0.0, 1.0, -1.0, 0.5, 2.0, 0.1])
    drawn = np.full(other, number, np.float32) if not other else normal(rng, *other)
    slots = ("b", "a") if "b" not in given.operands else ("a", "b")
    constants = frozenset({slots[0]}) if not other or rng.random() < 0.5 else frozenset()
    return Sample({slots[0]: drawn, slots[1]: normal(rng, *shape)}, {}, constants)


def _sample_pow(rng: Rng) -> Sample:
    base = rng.uniform(0.2, 2, (2, 3)).astype(np.float32)
    exponent = np.array(rng.choice([2, 3, 0.5, -1]), np.float32)
    return Sample({"a": base, "b": exponent}, {}, frozenset({"b"}))


_SWAP = (("a", "b"),)

OPERATORS = (
    Operator(
        "nn.add", "a + b.", AB, commutes=_SWAP,
        traits=("elementwise", "homogeneous", "monotone"), sample=_sample, around=_around,
        onnx=_onnx("Add"),
        fx=FxForm(_overloads("add", "Tensor", "Scalar"), _read_pair,
                  _writes("aten.add.Tensor", swaps=True)),
    ),
    Operator(
        "nn.sub", "a - b.", AB,
        traits=("elementwise", "homogeneous"), sample=_sample, around=_around,
        onnx=_onnx("Sub"),
        fx=FxForm((*_overloads("sub", "Tensor", "Scalar"), "aten.rsub.Scalar", "aten.rsub.Tensor"),
                  _read_pair, _write_sub),
    ),
    Operator(
        "nn.mul", "a * b.", AB, commutes=_SWAP,
        traits=("elementwise",), sample=_sample, around=_around,
        onnx=_onnx("Mul"),
        fx=FxForm((*_overloads("mul", "Tensor", "Scalar"), "aten.square.default"), _read_pair,
                  _writes("aten.mul.Tensor", swaps=True)),
    ),
    Operator(
        "nn.div", "a / b.", AB, traits=("elementwise",), sample=_sample, around=_around,
        onnx=_onnx("Div"),
        fx=FxForm(_overloads("div", "Tensor", "Scalar"), _read_pair, _writes("aten.div.Tensor")),
    ),
    Operator(
        "nn.pow", "a to the power of b.", AB,
        traits=("elementwise",), sample=_sample_pow, onnx=_onnx("Pow"),
        fx=FxForm((*_overloads("pow", "Tensor_Scalar", "Tensor_Tensor"), "aten.pow.Scalar",
                   "aten.pow_.Scalar", "aten.pow_.Tensor"), _read_pow, _write_pow),
    ),
    Operator(
        "nn.min", "The smaller of a and b.", AB, commutes=_SWAP,
        traits=("elementwise", "selects"), sample=_sample, around=_around,
        onnx=_onnx_variadic("Min"),
        fx=FxForm(("aten.minimum.default", "aten.min.other"), _read_pair,
                  lambda n: fx_call("aten.minimum.default", tensor(n, "a"), tensor(n, "b"))),
    ),
    Operator(
        "nn.max", "The larger of a and b.", AB, commutes=_SWAP,
        traits=("elementwise", "selects"), sample=_sample, around=_around,
        onnx=_onnx_variadic("Max"),
        fx=FxForm(("aten.maximum.default", "aten.max.other"), _read_pair,
                  lambda n: fx_call("aten.maximum.default", tensor(n, "a"), tensor(n, "b"))),
    ),
    unary("neg", "Neg", "-x.", evaluate=np.negative, traits=("homogeneous",)),
    unary("exp", "Exp", "e to the power of x.", traits=("monotone", "nonnegative")),
    unary("log", "Log", "The natural logarithm.", sample=sample_positive, traits=("monotone",)),
    unary("sqrt", "Sqrt", "The square root.", sample=sample_positive,
          traits=("monotone", "nonnegative")),
    unary("reciprocal", "Reciprocal", "1 / x.", sample=sample_positive),
    unary("abs", "Abs", "The absolute value.", traits=("homogeneous", "nonnegative")),
    unary("floor", "Floor", "The largest integer not above x.", traits=("monotone",)),
    unary("sin", "Sin", "The sine."),
    unary("cos", "Cos", "The cosine."),
    unary("erf", "Erf", "The error function.", traits=("monotone",)),
    unary("tanh", "Tanh", "The hyperbolic tangent.", traits=("monotone",)),
    unary("sigmoid", "Sigmoid", "1 / (1 + exp(-x)).", traits=("monotone", "nonnegative")),
)  # fmt: skip
