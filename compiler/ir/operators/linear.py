"""Matrix products: linear, Gemm, MatMul."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

import numpy as np

from sparqc.ir.graph import Array, Node, Value
from sparqc.ir.operators.quantization import emit_parameters, emit_quantize, limited_data, stored
from sparqc.ir.vocabulary.forms import (
    Rng,
    emit_one,
    fx_call,
    integer,
    normal,
    optional_tensor,
    rank_of,
    same_type,
    tensor,
    tensors,
)
from sparqc.ir.vocabulary.multiply_adds import product, size_of
from sparqc.ir.vocabulary.operator import (
    REQUIRED,
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
    WeightSpec,
)

XWB = (OperandSpec("x"), OperandSpec("w"), OperandSpec("b", optional=True))
ABC = (OperandSpec("a"), OperandSpec("b"), OperandSpec("c", optional=True))
AB = (OperandSpec("a"), OperandSpec("b"))


# -- linear --------------------------------------------------------------------------------------


def _untransposed(value: Value) -> Value | None:
    """The matrix that a value is the transpose of, None where it is no transpose."""
    producer = value.producer
    if producer is None or producer.op != "nn.transpose" or value.type.rank != 2:
        return None
    return tensor(producer, "x")


def _read_linear(call: Call) -> Reading | None:
    if call.target == "aten.addmm.default":
        return _read_linear_addmm(call)
    given = call.arguments
    if rank_of(given["weight"]) != 2:
        return None  # torch also takes a vector
    return Reading({"x": given["input"], "w": given["weight"], "b": given["bias"]})


def _read_linear_addmm(call: Call) -> Reading | None:
    """A linear layer after torch's decompositions: addmm(b, x, w.t())."""
    given = call.arguments
    weight = _untransposed(given["mat2"])
    if weight is None or rank_of(given["self"]) != 1 or (given["alpha"], given["beta"]) != (1, 1):
        return None
    return Reading({"x": given["mat1"], "w": weight, "b": given["self"]})


def _read_linear_onnx(call: Call) -> Reading | None:
    """A Gemm that is a linear layer: x @ w.T + b with b a vector."""
    given = call.arguments
    if (given["alpha"], given["beta"], given["transA"], given["transB"]) != (1, 1, 0, 1):
        return None
    bias = given.get("C")
    if bias is not None and rank_of(bias) != 1:
        return None
    return Reading({"x": given["A"], "w": given["B"], "b": bias})


def _write_linear_onnx(node: Node, emitter: OnnxEmitter) -> None:
    """A Gemm for a matrix x; for more dimensions a MatMul with the transposed weight, and an Add.

    The weight is transposed where it is stored, in front of its Q and DQ: a Transpose between DQ
    and MatMul would keep the product in float.
    """
    x, w, b = tensor(node, "x"), tensor(node, "w"), optional_tensor(node, "b")
    if rank_of(x) == 2:
        emit_one("Gemm", node, emitter, "x", "w", "b", transB=1)
        return
    turned = _transposed(w, emitter)
    if not isinstance(b, Value):
        emitter.emit("MatMul", [x, turned], outputs=node.outputs)
        return
    product = emitter.temp(f"{node.output.name}_matmul")
    emitter.emit("MatMul", [x, turned], outputs=[product])
    emitter.emit("Add", [product, b], outputs=node.outputs)


def _transposed(w: Value, emitter: OnnxEmitter) -> Value | str:
    """The transposed matrix; Q, DQ and masks on the way to a constant move behind the transpose."""
    if w.data is not None:
        return emitter.constant(_turn(w.data), w.name)
    producer = w.producer
    write = None if producer is None else _MOVES.get(producer.op)
    if producer is not None and write is not None:
        return write(producer, emitter)
    if producer is not None and producer.op == "nn.transpose":
        return tensor(producer, "x")  # a matrix has one way only to be transposed
    output = emitter.temp(f"{w.name}_transposed")
    emitter.emit("Transpose", [w], {"perm": (1, 0)}, outputs=[output])
    return output


def _turn(array: Array) -> Array:
    return np.ascontiguousarray(array.T)


def _axis(node: Node) -> int | None:
    """The channel axis of the transposed matrix."""
    return None if node.attributes["axis"] is None else 1 - integer(node, "axis")


def _transposed_qdq(node: Node, emitter: OnnxEmitter) -> str:
    x, (data, _) = tensor(node, "x"), limited_data(node)
    turned = _transposed(x, emitter) if data is None else emitter.constant(_turn(data), x.name)
    output = emitter.temp(f"{node.output.name}_transposed")
    emit_quantize(node, emitter, turned, _axis(node), output)
    return output


def _transposed_codes(node: Node, emitter: OnnxEmitter) -> str:
    """QuantizeLinear or DequantizeLinear of the transposed matrix."""
    op_type = "QuantizeLinear" if node.op == "q.quantize" else "DequantizeLinear"
    dtype = str(node.attributes.get("to", tensor(node, "x").type.dtype))
    turned, axis = _transposed(tensor(node, "x"), emitter), _axis(node)
    output = emitter.temp(f"{node.output.name}_transposed")
    given = {} if axis is None else {"axis": axis}
    inputs = [turned, *emit_parameters(node, emitter, dtype)]
    emitter.emit(op_type, inputs, given, outputs=[output])
    return output


def _transposed_mask(node: Node, emitter: OnnxEmitter) -> Value | str:
    data = stored(node.output)
    if data is not None:
        return emitter.constant(_turn(data), tensor(node, "w").name)
    output = emitter.temp(f"{node.output.name}_transposed")
    emitter.emit("Transpose", [node.output], {"perm": (1, 0)}, outputs=[output])
    return output


_MOVES = {
    "q.qdq": _transposed_qdq,
    "q.quantize": _transposed_codes,
    "q.dequantize": _transposed_codes,
    "sparse.mask": _transposed_mask,
}


def _sample_linear(rng: Rng) -> Sample:
    shape = [(2, 6), (2, 3, 6), (1, 2, 3, 6)][int(rng.integers(3))]
    b = normal(rng, 4) if rng.random() < 0.6 else None
    operands = {"x": normal(rng, *shape), "w": normal(rng, 4, 6), "b": b}
    return Sample(operands, {}, frozenset({"w", "b"}))


def _around_linear(rng: Rng, given: Given) -> Sample | None:
    x, w = given.shape("x"), given.shape("w")
    if (x is not None and not x) or (w is not None and len(w) != 2):
        return None
    columns = w[1] if w else x[-1] if x else 4
    rows = w[0] if w else int(rng.integers(2, 7))
    lead = x[:-1] if x else (2, 3)[: int(rng.integers(1, 3))]
    operands = {
        "x": normal(rng, *lead, columns), "w": normal(rng, rows, columns), "b": normal(rng, rows),
    }  # fmt: skip
    return Sample(operands, {}, frozenset({"w", "b"}))


# -- gemm ----------------------------------------------------------------------------------------

_GEMM: dict[str, Any] = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}


def _read_addmm(call: Call) -> Reading | None:
    given = call.arguments
    reading = same_type(call, a=given["mat1"], b=given["mat2"], c=given["self"])
    if reading is None or isinstance(given["alpha"], Value) or isinstance(given["beta"], Value):
        return None
    attributes = {**_GEMM, "alpha": float(given["alpha"]), "beta": float(given["beta"])}
    operands = dict(reading.operands)
    for slot, flag in (("a", "transA"), ("b", "transB")):
        source = _untransposed(given["mat1" if slot == "a" else "mat2"])
        if source is not None:
            operands[slot], attributes[flag] = source, 1
    return Reading(operands, attributes)


def _write_addmm(node: Node) -> FxCall:
    attributes, c = node.attributes, optional_tensor(node, "c")
    a, b = (
        fx_call("aten.t.default", tensor(node, slot)) if attributes[flag] else tensor(node, slot)
        for slot, flag in (("a", "transA"), ("b", "transB"))
    )
    alpha, beta = attributes["alpha"], attributes["beta"]
    if c is not None:
        return fx_call("aten.addmm.default", c, a, b, beta=beta, alpha=alpha)
    product = fx_call("aten.mm.default", a, b)
    return product if alpha == 1 else fx_call("aten.mul.Tensor", product, alpha)


def _read_gemm_onnx(call: Call) -> Reading | None:
    given = call.arguments
    attributes = {name: given[name] for name in _GEMM}
    return Reading({"a": given["A"], "b": given["B"], "c": given.get("C")}, attributes)


def _write_gemm_onnx(node: Node, emitter: OnnxEmitter) -> None:
    emit_one("Gemm", node, emitter, "a", "b", "c", **{k: node.attributes[k] for k in _GEMM})


def _sample_gemm(rng: Rng) -> Sample:
    trans_a, trans_b = int(rng.integers(2)), int(rng.integers(2))
    a, b = normal(rng, 3, 6), normal(rng, 6, 4)
    c = [normal(rng, 4), normal(rng, 3, 4), None][int(rng.integers(3))]
    attributes = {"alpha": float(rng.choice([1, 0.5])), "beta": float(rng.choice([1, 2]))}
    operands = {"a": a.T.copy() if trans_a else a, "b": b.T.copy() if trans_b else b, "c": c}
    flags = {"transA": trans_a, "transB": trans_b}
    return Sample(operands, {**attributes, **flags}, frozenset({"b"}))


def _around_gemm(rng: Rng, given: Given) -> Sample | None:
    """c is a number for each column, for each row, for each entry, or for all."""
    sample = _sample_gemm(rng)
    attributes: dict[str, Any] = {**sample.attributes, **given.attributes}
    a, b = given.shape("a"), given.shape("b")
    if any(shape is not None and len(shape) != 2 for shape in (a, b)):
        return None
    rows, inner = (a[::-1] if attributes["transA"] else a) if a else (3, 0)
    other, columns = (b[::-1] if attributes["transB"] else b) if b else (0, 4)
    inner = inner or other or 6
    shapes = [(columns,), (rows, 1), (rows, columns), ()]
    made_a, made_b = normal(rng, rows, inner), normal(rng, inner, columns)
    operands = {
        "a": made_a.T.copy() if attributes["transA"] else made_a,
        "b": made_b.T.copy() if attributes["transB"] else made_b,
        "c": normal(rng, *shapes[int(rng.integers(4))]),
    }
    return Sample(operands, attributes, frozenset({"b", "c"}))


# -- matmul --------------------------------------------------------------------------------------


def _read_matmul(call: Call) -> Reading | None:
    given = call.arguments
    return same_type(call, a=given["self"], b=given.get("other", given.get("mat2")))


def _read_matmul_onnx(call: Call) -> Reading | None:
    return Reading({"a": call.arguments["A"], "b": call.arguments["B"]})


def _last(back: int, slot: str) -> Any:
    """An axis of an operand counted from the end."""
    return lambda node: max((tensor(node, slot).type.rank or 2) - back, 0)


def _sample_matmul(rng: Rng) -> Sample:
    shapes = (
        ((3, 6), (6, 4)),
        ((2, 3, 6), (6, 4)),
        ((2, 3, 6), (2, 6, 4)),
        ((2, 1, 3, 6), (5, 6, 4)),
    )
    a, b = shapes[int(rng.integers(len(shapes)))]
    constants = frozenset({"b"}) if rng.random() < 0.5 else frozenset()
    return Sample({"a": normal(rng, *a), "b": normal(rng, *b)}, {}, constants)


def _around_matmul(rng: Rng, given: Given) -> Sample | None:
    """Matrices, and batches of them that broadcast."""
    a, b = given.shape("a"), given.shape("b")
    if any(shape is not None and len(shape) < 2 for shape in (a, b)):
        return None
    lead = (a or b or (2, 3, 1, 1)[int(rng.integers(3)) :])[:-2]
    other = [lead, (), (1,) * len(lead)][int(rng.integers(3))]
    inner = a[-1] if a else b[-2] if b else 4
    rows, columns = int(rng.integers(2, 6)), int(rng.integers(2, 6))
    leads = (lead, other) if b is None or a is not None else (other, lead)
    operands = {
        "a": normal(rng, *leads[0], rows, inner),
        "b": normal(rng, *leads[1], inner, columns),
    }
    return Sample(operands, {}, frozenset({"b"}) if rng.random() < 0.5 else frozenset())


# -- einsum --------------------------------------------------------------------------------------


def _equation(text: str) -> str:
    """One spelling: no spaces, the result named, and small letters, since some compilers read no
    others."""
    text = text.replace(" ", "")
    if "->" not in text:  # the letters that stand once, capitals first
        once = sorted(c for c in set(text) if c.isalpha() and text.count(c) == 1)
        text += "->" + "..." * ("..." in text) + "".join(once)
    free = (c for c in ascii_lowercase if c not in text)
    capitals = sorted({c for c in text if c.isupper()})
    renamed = {ord(capital): small for capital, small in zip(capitals, free, strict=False)}
    return text.translate(renamed)


def _read_einsum(call: Call) -> Reading | None:
    given = call.arguments
    if given.get("path") is not None or len({x.type.dtype for x in given["tensors"]}) > 1:
        return None
    return Reading({"xs": tuple(given["tensors"])}, {"equation": _equation(given["equation"])})


def _read_einsum_onnx(call: Call) -> Reading | None:
    given = call.arguments
    return Reading({"xs": tuple(given["Inputs"])}, {"equation": _equation(given["equation"])})


def _einsum_macs(node: Node) -> int | None:
    """Of two tensors one for each combination of all letters; None for others, and with `...`."""
    terms = str(node.attributes["equation"]).partition("->")[0].split(",")
    shapes = [x.shape or () for x in tensors(node, "xs")]
    if len(shapes) != 2 or [len(t) for t in terms] != [len(shape) for shape in shapes]:
        return None
    letters = dict(zip("".join(terms), shapes[0] + shapes[1], strict=True))
    return product(tuple(letters.values()))


def _sample_einsum(rng: Rng) -> Sample:
    equation = str(rng.choice(["bij,bjk->bik", "bij,bkj->bik", "bij,bjk->bki"]))
    shape = (2, 5, 4) if "bkj" in equation else (2, 4, 5)
    return Sample({"xs": [normal(rng, 2, 3, 4), normal(rng, *shape)]}, {"equation": equation})


def _around_einsum(rng: Rng, given: Given) -> Sample | None:
    """Mostly products of batches of matrices, their axes in any order, `...` in front at times."""
    if given.operands or "equation" in given.attributes:
        return None
    batch, inner = "bh"[: int(rng.integers(3))], "jd"[: int(rng.integers(1, 3))]
    rows, columns = "i", "k"
    if rng.random() > 0.9:
        rows = columns = ""
    sizes = dict(zip("bhijdk", (2, 3, 4, 2, 3, 5), strict=True))
    orders = [_shuffled(rng, batch + rows + inner), _shuffled(rng, batch + inner + columns)]
    if rng.random() > 0.5:
        orders.reverse()
    result = _shuffled(rng, batch + rows + columns)
    xs = [normal(rng, *(sizes[c] for c in order)) for order in orders]
    if rng.random() > 0.8:
        orders[0], result, xs[0] = f"...{orders[0]}", f"...{result}", normal(rng, 2, *xs[0].shape)
    return Sample({"xs": xs}, {"equation": f"{orders[0]},{orders[1]}->{result}"})


def _shuffled(rng: Rng, letters: str) -> str:
    order = rng.permutation(len(letters)) if rng.random() < 0.7 else range(len(letters))
    return "".join(letters[int(i)] for i in order)


OPERATORS = (
    Operator(
        "nn.linear", "x @ w.T + b, with w [out, in].", XWB,
        sample=_sample_linear, around=_around_linear,
        weight=WeightSpec("w", lambda _: 0, lambda _: 1, output_axis=-1),
        macs=lambda n: product(n.output.shape, size_of(n, "w", 1)),
        fx=FxForm(("aten.linear.default", "aten.addmm.default"), _read_linear, lambda n: fx_call(
            "aten.linear.default", tensor(n, "x"), tensor(n, "w"), optional_tensor(n, "b"))),
        onnx=OnnxForm(("Gemm",), _read_linear_onnx, _write_linear_onnx),
    ),
    Operator(
        "nn.gemm", "alpha * a @ b + beta * c, with a and b transposed first where the flag is 1.",
        ABC, _GEMM, sample=_sample_gemm, around=_around_gemm,
        weight=WeightSpec("b", lambda n: 0 if n.attributes["transB"] else 1,
                          lambda n: 1 if n.attributes["transB"] else 0, "a", "c", -1),
        macs=lambda n: product(n.output.shape, size_of(n, "b", 1 if n.attributes["transB"] else 0)),
        fx=FxForm(("aten.addmm.default",), _read_addmm, _write_addmm),
        onnx=OnnxForm(("Gemm",), _read_gemm_onnx, _write_gemm_onnx),
    ),
    Operator(
        "nn.matmul", "a @ b on the last two dimensions, the others broadcast.", AB,
        sample=_sample_matmul, around=_around_matmul,
        weight=WeightSpec("b", _last(1, "b"), _last(2, "b"), "a", None, -1),
        macs=lambda n: product(n.output.shape, size_of(n, "a", -1)),
        fx=FxForm(("aten.matmul.default", "aten.mm.default", "aten.bmm.default"), _read_matmul,
                  lambda n: fx_call("aten.matmul.default", tensor(n, "a"), tensor(n, "b"))),
        onnx=OnnxForm(("MatMul",), _read_matmul_onnx,
                      lambda n, e: emit_one("MatMul", n, e, "a", "b")),
    ),
    Operator(
        "nn.einsum", "Einstein's sum of products, by its equation.",
        (OperandSpec("xs", variadic=True),), {"equation": REQUIRED}, sample=_sample_einsum,
        around=_around_einsum,
        macs=_einsum_macs,
        fx=FxForm(("aten.einsum.default",), _read_einsum, lambda n: fx_call(
            "aten.einsum.default", n.attributes["equation"], list(tensors(n, "xs")))),
        onnx=OnnxForm(("Einsum",), _read_einsum_onnx, lambda n, e: emit_one(
            "Einsum", n, e, "xs", equation=n.attributes["equation"])),
    ),
)  # fmt: skip
