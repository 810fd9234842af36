"""Softmax along an axis."""

from __future__ import annotations

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import Rng, X, emit_one, fx_call, rank_of, sample_x, tensor
from sparqc.ir.vocabulary.operator import (
    Call,
    FxCall,
    FxForm,
    OnnxEmitter,
    OnnxForm,
    Operator,
    Reading,
    Sample,
)
from sparqc.ir.vocabulary.traits import Trait


def _read_softmax(call: Call) -> Reading | None:
    x = call.arguments["self"]
    return _softmax(call, x, call.arguments["dim"])


def _softmax(call: Call, x: Value, axis: int) -> Reading | None:
    """The axis is counted from the end, as attention does."""
    rank = rank_of(x)
    if x.type.dtype != call.types[0].dtype or rank is None:
        return None
    return Reading({"x": x}, {"axis": axis - rank if axis >= 0 else axis})


def _softmax_row(name: str, packet: str, op_type: str, doc: str, *traits: Trait) -> Operator:
    def read_onnx(call: Call) -> Reading | None:
        x, axis = call.arguments["input"], call.arguments["axis"]
        rank = rank_of(x)
        # Before opset 13 everything from the axis on was flattened first.
        if call.opset < 13 and (rank is None or axis not in (-1, rank - 1)):
            return None
        return _softmax(call, x, axis)

    def write_fx(node: Node) -> FxCall:
        return fx_call(f"aten.{packet}.int", tensor(node, "x"), node.attributes["axis"])

    def write_onnx(node: Node, emitter: OnnxEmitter) -> None:
        emit_one(op_type, node, emitter, "x", axis=node.attributes["axis"])

    def sample(rng: Rng) -> Sample:
        return Sample(sample_x(rng).operands, {"axis": int(rng.integers(-3, 0))})

    targets = (f"aten.{packet}.int", f"aten._{packet}.default", f"aten.special_{packet}.int")
    return Operator(
        name, doc, X, {"axis": -1}, sample=sample, traits=("equivariant", "keeps_type", *traits),
        fx=FxForm(targets, _read_softmax, write_fx),
        onnx=OnnxForm((op_type,), read_onnx, write_onnx),
    )  # fmt: skip


OPERATORS = (
    _softmax_row("nn.softmax", "softmax", "Softmax", "exp(x) / sum(exp(x)) along an axis.",
                 "nonnegative"),
    _softmax_row("nn.log_softmax", "log_softmax", "LogSoftmax", "log(softmax(x)) along an axis."),
)  # fmt: skip
