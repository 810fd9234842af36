"""Copies and changes of the element type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparqc.ir.graph import Array, Node
from sparqc.ir.vocabulary.forms import (
    NUMPY_DTYPES,
    ONNX_DTYPES,
    UNARY,
    Rng,
    X,
    emit_one,
    fx_call,
    sample_x,
    tensor,
    torch_dtype,
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

_NAMES = {number: name for name, number in ONNX_DTYPES.items()}

# -- identity ------------------------------------------------------------------------------------


def _read_identity(call: Call) -> Reading | None:
    """Whatever gives back the numbers of its input as they are."""
    given = call.arguments
    x = given.get("self", given.get("input"))
    if given.get("train", False) is not False or x.type.dtype != call.types[0].dtype:
        return None
    if x.type.shape is None or x.type.shape != call.types[0].shape:
        return None
    if call.target == "aten.slice.Tensor":
        return _read_whole_slice(call)
    if any(given.get("pad") or ()) or set(given.get("output_size") or ()) == {1}:
        return None  # a global pool of a single pixel stays one: the next image may be larger
    return Reading({"x": x})


def _read_whole_slice(call: Call) -> Reading | None:
    """x[:] on one axis; equal shapes alone could be a symbolic size's coincidence."""
    given = call.arguments
    whole = (given["start"] in (0, None), given["end"] in (None, 2**63 - 1), given["step"] == 1)
    return Reading({"x": given["self"]}) if all(whole) else None


def _read_identity_onnx(call: Call) -> Reading | None:
    given = call.arguments
    if call.target == "Identity":
        return Reading({"x": given["input"]})
    if call.target == "Slice":  # of no axis
        starts = call.constant("starts")
        return Reading({"x": given["data"]}) if starts is not None and not starts.size else None
    training = call.constant("training_mode")
    computed = given.get("training_mode") is not None and training is None
    if len(call.types) > 1 or computed or (training is not None and training.any()):
        return None
    return Reading({"x": given["data"]})


# -- cast ----------------------------------------------------------------------------------------


def _read_cast(call: Call) -> Reading | None:
    """A conversion that changes the element type and nothing else."""
    to, x = call.types[0].dtype, call.arguments["self"]
    if to not in NUMPY_DTYPES or x.type.dtype not in NUMPY_DTYPES:
        return None
    return Reading({"x": x}, {"to": to})


def _write_cast(node: Node) -> FxCall:
    return fx_call("aten.to.dtype", tensor(node, "x"), torch_dtype(str(node.attributes["to"])))


def _read_cast_onnx(call: Call) -> Reading | None:
    to = _NAMES.get(call.arguments["to"])
    return None if to is None else Reading({"x": call.arguments["input"]}, {"to": to})


def _write_cast_onnx(node: Node, emitter: OnnxEmitter) -> None:
    emit_one("Cast", node, emitter, "x", to=ONNX_DTYPES[str(node.attributes["to"])])


def _evaluate_cast(operands: Mapping[str, Any], attributes: Mapping[str, Any]) -> Sequence[Array]:
    return (operands["x"].astype(NUMPY_DTYPES[attributes["to"]]),)


def _sample_cast(rng: Rng) -> Sample:
    return Sample(sample_x(rng).operands, {"to": str(rng.choice(["f64", "f16", "i64", "bool"]))})


def _around_cast(rng: Rng, given: Given) -> Sample | None:
    """At times to the type that is there."""
    x, sample = given.operands.get("x"), _sample_cast(rng)
    same = "f32" if x is None else x.type.dtype
    to = str(rng.choice([same, str(sample.attributes["to"])]))
    return Sample(sample.operands, {"to": to})


_CASTS = ("aten.to.dtype", "aten._to_copy.default", "aten.to.dtype_layout", "aten.type_as.default",
          "aten.to.device", "aten.to.other")  # fmt: skip

OPERATORS = (
    Operator(
        "nn.identity", "x.", X, sample=sample_x, traits=(*UNARY, "view", "converts"),
        constant_expression=True, evaluate=lambda o, _: (o["x"],),
        fx=FxForm(
            ("aten.alias.default", "aten.clone.default", "aten.contiguous.default",
             "aten.detach.default", "aten.detach_.default", "aten.dropout.default",
             "aten.dropout_.default",
             "aten.feature_dropout.default", "aten.feature_dropout_.default",
             "aten.alpha_dropout.default", "aten.alpha_dropout_.default",
             "aten.feature_alpha_dropout.default", "aten.feature_alpha_dropout_.default",
             "aten.lift_fresh_copy.default", "aten.native_dropout.default",
             "aten.slice.Tensor", "aten.pad.default",
             "aten.constant_pad_nd.default",
             "aten.adaptive_avg_pool2d.default", *_CASTS),
            _read_identity, lambda n: fx_call("aten.alias.default", tensor(n, "x"))),
        onnx=OnnxForm(("Identity", "Dropout", "Slice"), _read_identity_onnx,
                      lambda n, e: emit_one("Identity", n, e, "x")),
    ),
    Operator(
        "nn.cast", "x in another element type, such as \"f16\" or \"i64\".", X,
        {"to": REQUIRED}, sample=_sample_cast, around=_around_cast,
        traits=("elementwise", "converts"),
        constant_expression=True, evaluate=_evaluate_cast,
        fx=FxForm(_CASTS, _read_cast, _write_cast),
        onnx=OnnxForm(("Cast",), _read_cast_onnx, _write_cast_onnx),
    ),
)  # fmt: skip
