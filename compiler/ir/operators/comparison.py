"""Comparisons, whose result is bool, and logic."""

from __future__ import annotations

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    UNARY,
    Rng,
    X,
    emit_one,
    fx_call,
    number,
    onnx_inputs,
    tensor,
    tensor_operand,
    written_as_others,
)
from sparqc.ir.vocabulary.operator import (
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

AB = (OperandSpec("a"), OperandSpec("b"))
_SWAP = (("a", "b"),)


def _read_comparison(call: Call) -> Reading | None:
    a, b = call.arguments["self"], call.arguments["other"]
    other = tensor_operand(b, a.type.dtype)
    return None if other is None else Reading({"a": a, "b": other})


def _compare(packet: str, op_type: str, doc: str, *, name: str, swaps: bool = False) -> Operator:
    """A row for a comparison of two tensors, or of a tensor and a number."""

    def write_fx(node: Node) -> FxCall:
        a, b = tensor(node, "a"), number(node, "b")
        if b is not None:
            return fx_call(f"aten.{packet}.Scalar", a, b)
        return fx_call(f"aten.{packet}.Tensor", a, tensor(node, "b"))

    def read_onnx(call: Call) -> Reading | None:
        a, b = (call.arguments[i] for i in onnx_inputs(op_type))
        return Reading({"a": a, "b": b})

    def write_onnx(node: Node, emitter: OnnxEmitter) -> None:
        emit_one(op_type, node, emitter, "a", "b")

    return Operator(
        f"nn.{name}", doc, AB, commutes=_SWAP if swaps else (), sample=_sample,
        traits=("elementwise",),
        fx=FxForm((f"aten.{packet}.Tensor", f"aten.{packet}.Scalar"), _read_comparison, write_fx),
        onnx=OnnxForm((op_type,), read_onnx, write_onnx),
    )  # fmt: skip


def _write_not_equal(node: Node, emitter: OnnxEmitter) -> None:
    a, b, equal = tensor(node, "a"), tensor(node, "b"), emitter.temp(f"{node.output.name}_equal")
    emitter.emit("Equal", [a, b], outputs=[equal])
    emitter.emit("Not", [equal], outputs=node.outputs)


def _sample(rng: Rng) -> Sample:
    """Small whole numbers, so that some are equal."""
    a, b = (rng.integers(0, 3, (2, 3)).astype(np.float32) for _ in range(2))
    if rng.random() < 0.5:
        return Sample({"a": a, "b": np.array(1, np.float32)}, {}, frozenset({"b"}))
    return Sample({"a": a, "b": b})


# -- logic ---------------------------------------------------------------------------------------


def _logic(packet: str, op_type: str, doc: str, *, name: str) -> Operator:
    def read_fx(call: Call) -> Reading | None:
        a, b = call.arguments["self"], call.arguments["other"]
        both = isinstance(b, Value) and a.type.dtype == b.type.dtype == "bool"
        return Reading({"a": a, "b": b}) if both else None

    def write_fx(node: Node) -> FxCall:
        return fx_call(f"aten.logical_{packet}.default", tensor(node, "a"), tensor(node, "b"))

    def read_onnx(call: Call) -> Reading | None:
        return Reading({"a": call.arguments["A"], "b": call.arguments["B"]})

    targets = (f"aten.logical_{packet}.default", f"aten.bitwise_{packet}.Tensor",
               f"aten.__{packet}__.Tensor")  # fmt: skip
    return Operator(
        f"nn.{name}", doc, AB, commutes=_SWAP, sample=_sample_logic, traits=("elementwise",),
        fx=FxForm(targets, read_fx, write_fx),
        onnx=OnnxForm((op_type,), read_onnx, lambda n, e: emit_one(op_type, n, e, "a", "b")),
    )  # fmt: skip


def _read_not(call: Call) -> Reading | None:
    x = call.arguments["self"]
    return Reading({"x": x}) if x.type.dtype == "bool" else None


def _sample_logic(rng: Rng) -> Sample:
    return Sample({"a": rng.random((2, 3)) < 0.5, "b": rng.random((2, 3)) < 0.5})


OPERATORS = (
    _compare("eq", "Equal", "Whether a and b are equal.", name="equal", swaps=True),
    _compare("lt", "Less", "Whether a is below b.", name="less"),
    _compare("le", "LessOrEqual", "Whether a is not above b.", name="less_or_equal"),
    _compare("gt", "Greater", "Whether a is above b.", name="greater"),
    _compare("ge", "GreaterOrEqual", "Whether a is not below b.", name="greater_or_equal"),
    Operator(
        "nn.not_equal", "Whether a and b differ.", AB, commutes=_SWAP, sample=_sample,
        traits=("elementwise",),
        fx=FxForm(("aten.ne.Tensor", "aten.ne.Scalar"), _read_comparison, lambda n: fx_call(
            "aten.ne.Tensor", tensor(n, "a"), tensor(n, "b"))),
        onnx=written_as_others(_write_not_equal),
    ),
    _logic("and", "And", "Whether a and b both hold.", name="and"),
    _logic("or", "Or", "Whether a or b holds.", name="or"),
    Operator(
        "nn.not", "Whether x does not hold.", X, traits=UNARY,
        sample=lambda rng: Sample({"x": rng.random((2, 3)) < 0.5}),
        fx=FxForm(("aten.logical_not.default", "aten.bitwise_not.default"), _read_not,
                  lambda n: fx_call("aten.logical_not.default", tensor(n, "x"))),
        onnx=OnnxForm(("Not",), lambda c: Reading({"x": c.arguments["X"]}),
                      lambda n, e: emit_one("Not", n, e, "x")),
    ),
)  # fmt: skip
