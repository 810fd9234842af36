"""An operator that sparqc does not know: the fractional part, x - trunc(x)."""

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.operator import Call, FxCall, FxForm, OperandSpec, Operator, Reading


def read(call: Call) -> Reading:
    return Reading({"x": call.arguments["self"]})


def write(node: Node) -> FxCall:
    import torch

    x = node.operands["x"]
    assert isinstance(x, Value)
    return FxCall(torch.ops.aten.frac.default, (x,))


OPERATORS = (
    Operator(
        "toy.frac",
        "The fractional part of each element, with the sign of the element.",
        (OperandSpec("x"),),
        fx=FxForm(("aten.frac.default",), read, write),
    ),
)
