"""Products of batches of matrices that are added to a tensor."""

from __future__ import annotations

import numpy as np

from sparqc.errors import NoForm
from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    FLOATS,
    NUMPY_DTYPES,
    Rng,
    fx_call,
    normal,
    same_type,
    tensor,
    written_as_others,
)
from sparqc.ir.vocabulary.multiply_adds import product, shape_of, size_of
from sparqc.ir.vocabulary.operator import (
    Call,
    FxForm,
    OnnxEmitter,
    OperandSpec,
    Operator,
    Reading,
    Sample,
)

_ABC = (OperandSpec("a"), OperandSpec("b"), OperandSpec("c"))
_FACTORS = {"alpha": 1.0, "beta": 1.0}


def _read(call: Call) -> Reading | None:
    given = call.arguments
    reading = same_type(call, a=given["batch1"], b=given["batch2"], c=given["self"])
    floats = call.types[0].dtype in FLOATS
    if reading is None or not floats or any(isinstance(given[name], Value) for name in _FACTORS):
        return None
    return Reading(reading.operands, {name: float(given[name]) for name in _FACTORS})


def _scaled(x: Value | str, factor: str, node: Node, emitter: OnnxEmitter) -> Value | str:
    """A tensor times an attribute of the node."""
    number = float(node.attributes[factor])  # type: ignore[arg-type]
    if number == 1:
        return x
    dtype = NUMPY_DTYPES.get(tensor(node, "a").type.dtype)
    if dtype is None:
        raise NoForm(f"{node.output.name}: the type of the matrices is unknown")
    stored = emitter.constant(np.array(number, dtype), f"{node.output.name}_{factor}")
    output = emitter.temp(f"{node.output.name}_scaled")
    emitter.emit("Mul", [x, stored], outputs=[output])
    return output


def _write_onnx(node: Node, emitter: OnnxEmitter, *, summed: bool) -> None:
    a, b, c, hint = (*(tensor(node, slot) for slot in "abc"), node.output.name)
    product: Value | str = emitter.temp(f"{hint}_product")
    emitter.emit("MatMul", [a, b], outputs=[product])
    if summed:
        axes = emitter.constant(np.array([0]), f"{hint}_axes")
        total = emitter.temp(f"{hint}_sum")
        emitter.emit("ReduceSum", [product, axes], {"keepdims": 0}, outputs=[total])
        product = total
    product = _scaled(product, "alpha", node, emitter)
    if node.attributes["beta"] == 0:  # then torch does not look at c: not even at a NaN
        emitter.emit("Identity", [product], outputs=node.outputs)
        return
    emitter.emit("Add", [_scaled(c, "beta", node, emitter), product], outputs=node.outputs)


def _row(name: str, doc: str, *, summed: bool) -> Operator:
    def sample(rng: Rng) -> Sample:
        shapes = [(3, 5), (5,)] if summed else [(2, 3, 5), (1, 3, 5), (5,)]
        c = normal(rng, *shapes[int(rng.integers(len(shapes)))])
        factors = {"alpha": float(rng.choice([1, 0.5])), "beta": float(rng.choice([0, 1, 2]))}
        return Sample({"a": normal(rng, 2, 3, 4), "b": normal(rng, 2, 4, 5), "c": c}, factors)

    def macs(node: Node) -> int | None:
        return product(shape_of(node, "a"), size_of(node, "b", -1))

    target = f"aten.{name}.default"
    return Operator(
        f"nn.{name}", doc, _ABC, _FACTORS, sample=sample, macs=macs,
        fx=FxForm((target,), _read, lambda n: fx_call(
            target, *(tensor(n, slot) for slot in "cab"),
            **{factor: n.attributes[factor] for factor in ("beta", "alpha")})),
        onnx=written_as_others(lambda n, e: _write_onnx(n, e, summed=summed)),
    )  # fmt: skip


OPERATORS = (
    _row("baddbmm", "alpha * a @ b + beta * c, for each matrix of a batch.", summed=False),
    _row("addbmm", "alpha times the sum of a @ b over a batch, + beta * c.", summed=True),
)
