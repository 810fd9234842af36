"""An operator that sparqc does not know: the fractional part, x - trunc(x)."""

from sparqc.extend import Call, FxCall, FxForm, Node, OperandSpec, Operator, Reading, fx_call


def read(call: Call) -> Reading:
    return Reading({"x": call.arguments["self"]})


def write(node: Node) -> FxCall:
    return fx_call("aten.frac.default", node.operands["x"])


OPERATORS = (
    Operator(
        "toy.frac",
        "The fractional part of each element, with the sign of the element.",
        (OperandSpec("x"),),
        fx=FxForm(("aten.frac.default",), read, write),
    ),
)
