"""Operators that sparqc does not know, with what holds of them."""

from sparqc.extend import (
    Call,
    FxCall,
    FxForm,
    Node,
    OnnxEmitter,
    OnnxForm,
    OperandSpec,
    Operator,
    Reading,
    emit_one,
    fx_call,
)

X = (OperandSpec("x"),)


def read(call: Call) -> Reading:
    return Reading({"x": call.arguments["self"]})


def write(node: Node) -> FxCall:
    return fx_call("aten.frac.default", node.operands["x"])


def write_lift(node: Node) -> FxCall:
    x = node.operands["x"]
    return fx_call("aten.add.Tensor", x, fx_call("aten.abs.default", x))


def write_noise(node: Node) -> FxCall:
    return fx_call("aten.rand_like.default", node.operands["x"])


def read_softsign(call: Call) -> Reading:
    return Reading({"x": call.arguments["input"]})


def write_softsign(node: Node, emitter: OnnxEmitter) -> None:
    emit_one("Softsign", node, emitter, "x")


OPERATORS = (
    Operator(
        "toy.frac",
        "The fractional part of each element, with the sign of the element.",
        X,
        traits=("elementwise", "keeps_type"),
        fx=FxForm(("aten.frac.default",), read, write),
    ),
    Operator(
        "toy.lift",
        "x + |x|.",
        X,
        traits=("elementwise", "keeps_type", "homogeneous", "monotone", "nonnegative"),
        fx=FxForm((), lambda call: None, write_lift),
    ),
    Operator(
        "toy.noise",
        "Random numbers in the shape of x.",
        X,
        traits=("random", "keeps_type"),
        fx=FxForm((), lambda call: None, write_noise),
    ),
    Operator(
        "toy.softsign",
        "x / (1 + |x|).",
        X,
        traits=("elementwise", "keeps_type", "monotone"),
        onnx=OnnxForm(("Softsign",), read_softsign, write_softsign),
    ),
)
