"""Activations: functions of each element, and softmax."""

from __future__ import annotations

import numpy as np

from sparqc.ir.graph import Attribute, Node, Value
from sparqc.ir.vocabulary.forms import (
    NUMPY_DTYPES,
    UNARY,
    Rng,
    X,
    emit_one,
    fx_call,
    normal,
    onnx_inputs,
    rank_of,
    same_type,
    sample_x,
    tensor,
    unary,
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
from sparqc.ir.vocabulary.traits import Trait

# -- functions of x with attributes --------------------------------------------------------------


def _attributed(
    name: str,
    doc: str,
    op_type: str,
    fx: FxForm,
    attributes: dict[str, Attribute],
    samples: tuple[dict[str, Attribute], ...],
    traits: tuple[Trait, ...] = (),
) -> Operator:
    """A row whose attributes have the same names and meaning in ONNX."""

    def read_onnx(call: Call) -> Reading | None:
        given = {k: call.arguments.get(k, default) for k, default in attributes.items()}
        return Reading({"x": call.arguments[onnx_inputs(op_type)[0]]}, given)

    def write_onnx(node: Node, emitter: OnnxEmitter) -> None:
        emit_one(op_type, node, emitter, "x", **{k: node.attributes[k] for k in attributes})

    def sample(rng: Rng) -> Sample:
        return Sample(sample_x(rng).operands, samples[int(rng.integers(len(samples)))])

    form = OnnxForm((op_type,), read_onnx, write_onnx)
    every = (*UNARY, *traits)
    return Operator(name, doc, X, attributes, traits=every, fx=fx, onnx=form, sample=sample)


def _read_leaky(call: Call) -> Reading | None:
    return Reading({"x": call.arguments["self"]}, {"alpha": call.arguments["negative_slope"]})


def _read_elu(call: Call) -> Reading | None:
    if call.arguments["scale"] != 1 or call.arguments["input_scale"] != 1:
        return None
    return Reading({"x": call.arguments["self"]}, {"alpha": call.arguments["alpha"]})


#: torch's slope, as ONNX stores it.
SIXTH = float(np.float32(1 / 6))


def _read_hardsigmoid(call: Call) -> Reading | None:
    return Reading({"x": call.arguments["self"]}, {"alpha": SIXTH, "beta": 0.5})


def _write_hardsigmoid(node: Node) -> FxCall:
    x, alpha, beta = tensor(node, "x"), node.attributes["alpha"], node.attributes["beta"]
    if (alpha, beta) == (SIXTH, 0.5):
        return fx_call("aten.hardsigmoid.default", x)
    affine = fx_call("aten.add.Tensor", fx_call("aten.mul.Tensor", x, alpha), beta)
    return fx_call("aten.clamp.default", affine, 0.0, 1.0)


def _read_gelu(call: Call) -> Reading | None:
    return Reading({"x": call.arguments["self"]}, {"approximate": call.arguments["approximate"]})


def _read_gelu_onnx(call: Call) -> Reading | None:
    return Reading({"x": call.arguments["X"]}, {"approximate": call.arguments["approximate"]})


def _scalar(node: Node, emitter: OnnxEmitter, number: float, hint: str) -> str:
    """A 0-d constant in the element type of x."""
    x = tensor(node, "x")
    return emitter.constant(np.array(number, NUMPY_DTYPES.get(x.type.dtype, np.float32)), hint)


def _write_gelu(node: Node, emitter: OnnxEmitter) -> None:
    """One Gelu from opset 20 on; before, x * (1 + f(x)) / 2 with Erf or Tanh."""
    if emitter.opset >= 20:
        emit_one("Gelu", node, emitter, "x", approximate=node.attributes["approximate"])
        return
    x, hint = tensor(node, "x"), node.output.name
    one, half = (
        _scalar(node, emitter, 1, f"{hint}_one"),
        _scalar(node, emitter, 0.5, f"{hint}_half"),
    )
    inner = _gelu_tanh if node.attributes["approximate"] == "tanh" else _gelu_erf
    bent, plus, product = inner(node, emitter, x), emitter.temp(hint), emitter.temp(hint)
    emitter.emit("Add", [bent, one], outputs=[plus])
    emitter.emit("Mul", [x, plus], outputs=[product])
    emitter.emit("Mul", [product, half], outputs=node.outputs)


def _gelu_erf(node: Node, emitter: OnnxEmitter, x: Value) -> str:
    """erf(x / sqrt(2))."""
    hint = node.output.name
    divided, bent = emitter.temp(hint), emitter.temp(hint)
    emitter.emit("Div", [x, _scalar(node, emitter, 2**0.5, f"{hint}_sqrt2")], outputs=[divided])
    emitter.emit("Erf", [divided], outputs=[bent])
    return bent


def _gelu_tanh(node: Node, emitter: OnnxEmitter, x: Value) -> str:
    """tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))."""
    hint = node.output.name
    square, cube, small, total, scaled, bent = (emitter.temp(hint) for _ in range(6))
    emitter.emit("Mul", [x, x], outputs=[square])
    emitter.emit("Mul", [square, x], outputs=[cube])
    emitter.emit("Mul", [cube, _scalar(node, emitter, 0.044715, f"{hint}_cubic")], outputs=[small])
    emitter.emit("Add", [x, small], outputs=[total])
    factor = _scalar(node, emitter, (2 / np.pi) ** 0.5, f"{hint}_factor")
    emitter.emit("Mul", [total, factor], outputs=[scaled])
    emitter.emit("Tanh", [scaled], outputs=[bent])
    return bent


def _sample_gelu(rng: Rng) -> Sample:
    return Sample(sample_x(rng).operands, {"approximate": str(rng.choice(["none", "tanh"]))})


# -- functions that ONNX spells with several nodes -----------------------------------------------


def _plain(packet: str, *, inplace: bool = True) -> FxForm:
    def read(call: Call) -> Reading | None:
        return same_type(call, x=call.arguments["self"])

    def write(node: Node) -> FxCall:
        return fx_call(f"aten.{packet}.default", tensor(node, "x"))

    targets = (f"aten.{packet}.default",) + ((f"aten.{packet}_.default",) if inplace else ())
    return FxForm(targets, read, write)


def _write_silu(node: Node, emitter: OnnxEmitter) -> None:
    x, gate = tensor(node, "x"), emitter.temp(f"{node.output.name}_sigmoid")
    emitter.emit("Sigmoid", [x], outputs=[gate])
    emitter.emit("Mul", [x, gate], outputs=node.outputs)


def _read_swish(call: Call) -> Reading | None:
    return Reading({"x": call.arguments["X"]}, {"alpha": call.arguments["alpha"]})


def _write_swish(node: Node, emitter: OnnxEmitter) -> None:
    """One Swish from opset 24 on; before, x * sigmoid(alpha * x)."""
    x, alpha = tensor(node, "x"), node.attributes["alpha"]
    if emitter.opset >= 24:
        emitter.emit("Swish", [x], {"alpha": alpha}, outputs=node.outputs)
        return
    scaled, gate = (emitter.temp(f"{node.output.name}_{part}") for part in ("scaled", "sigmoid"))
    dtype = NUMPY_DTYPES.get(x.type.dtype, np.dtype("float32"))
    factor = emitter.constant(np.array(alpha, dtype), f"{node.output.name}_alpha")
    emitter.emit("Mul", [x, factor], outputs=[scaled])
    emitter.emit("Sigmoid", [scaled], outputs=[gate])
    emitter.emit("Mul", [x, gate], outputs=node.outputs)


def _write_rsqrt(node: Node, emitter: OnnxEmitter) -> None:
    x, root = tensor(node, "x"), emitter.temp(f"{node.output.name}_sqrt")
    emitter.emit("Sqrt", [x], outputs=[root])
    emitter.emit("Reciprocal", [root], outputs=node.outputs)


def _read_mish(call: Call) -> Reading | None:
    return Reading({"x": call.arguments["X"]})


def _write_mish(node: Node, emitter: OnnxEmitter) -> None:
    """One Mish from opset 18 on; before, x * tanh(softplus(x))."""
    if emitter.opset >= 18:
        emit_one("Mish", node, emitter, "x")
        return
    x, hint = tensor(node, "x"), node.output.name
    soft, bent = emitter.temp(hint), emitter.temp(hint)
    emitter.emit("Softplus", [x], outputs=[soft])
    emitter.emit("Tanh", [soft], outputs=[bent])
    emitter.emit("Mul", [x, bent], outputs=node.outputs)


def _read_softplus(call: Call) -> Reading | None:
    """ONNX has no beta; the threshold only bounds where torch takes the linear branch."""
    if call.arguments["beta"] != 1 or call.arguments["threshold"] != 20:
        return None
    return Reading({"x": call.arguments["self"]})


def _simple_onnx(op_type: str) -> OnnxForm:
    def read(call: Call) -> Reading | None:
        return Reading({"x": call.arguments[onnx_inputs(op_type)[0]]})

    return OnnxForm((op_type,), read, lambda node, emitter: emit_one(op_type, node, emitter, "x"))


# -- prelu ---------------------------------------------------------------------------------------


def _read_prelu_onnx(call: Call) -> Reading | None:
    """A slope of [C, 1, …, 1] in front of x [N, C, …] is one number a channel."""
    x, slope = call.arguments["X"], call.constant("slope")
    rank = rank_of(x)
    if slope is None or rank is None or rank < 2:
        return None
    padded = (1,) * (rank - slope.ndim) + slope.shape
    per_channel = all(size == 1 or axis == 1 for axis, size in enumerate(padded))
    return Reading({"x": x, "slope": slope.reshape(-1)}) if per_channel else None


def _write_prelu_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x, slope = tensor(node, "x"), tensor(node, "slope")
    shape = np.array([-1] + [1] * ((x.type.rank or 2) - 2), np.int64)
    hint = f"{node.output.name}_slope"
    if slope.data is not None:
        stored = emitter.constant(slope.data.reshape(shape), hint)
    else:
        stored = emitter.temp(hint)
        emitter.emit("Reshape", [slope, emitter.constant(shape, f"{hint}_shape")], outputs=[stored])
    emitter.emit("PRelu", [x, stored], outputs=node.outputs)


def _sample_prelu(rng: Rng) -> Sample:
    slope = normal(rng, int(rng.choice([1, 3])))
    shape = [(2, 3), (2, 3, 4), (2, 3, 4, 5)][int(rng.integers(3))]
    return Sample({"x": normal(rng, *shape), "slope": slope}, {}, frozenset({"slope"}))


def _overloads(*packets: str) -> tuple[str, ...]:
    return tuple(f"aten.{p}{tail}.default" for p in packets for tail in ("", "_"))


OPERATORS = (
    unary("relu", "Relu", "The larger of x and 0.",
          traits=("homogeneous", "monotone", "nonnegative")),
    _attributed(
        "nn.leaky_relu", "x where positive, alpha * x elsewhere.", "LeakyRelu",
        FxForm(_overloads("leaky_relu"), _read_leaky, lambda n: fx_call(
            "aten.leaky_relu.default", tensor(n, "x"), n.attributes["alpha"])),
        {"alpha": 0.01}, ({"alpha": 0.01}, {"alpha": 0.25}), ("homogeneous",),
    ),
    _attributed(
        "nn.elu", "x where positive, alpha * (exp(x) - 1) elsewhere.", "Elu",
        FxForm(_overloads("elu"), _read_elu, lambda n: fx_call(
            "aten.elu.default", tensor(n, "x"), n.attributes["alpha"])),
        {"alpha": 1.0}, ({"alpha": 1.0}, {"alpha": 0.5}),
    ),
    _attributed(
        "nn.hardsigmoid", "alpha * x + beta, clipped to [0, 1]; torch's alpha is 1/6.",
        "HardSigmoid", FxForm(_overloads("hardsigmoid"), _read_hardsigmoid, _write_hardsigmoid),
        {"alpha": 0.2, "beta": 0.5}, ({"alpha": SIXTH, "beta": 0.5},), ("nonnegative",),
    ),
    Operator(
        "nn.prelu", "x where positive, slope * x elsewhere; slope [C] (axis 1 of x) or [1].",
        (OperandSpec("x"), OperandSpec("slope")), sample=_sample_prelu,
        traits=("homogeneous", "keeps_type"),
        fx=FxForm(("aten.prelu.default", "aten._prelu_kernel.default"),
                  lambda c: Reading({"x": c.arguments["self"], "slope": c.arguments["weight"]})
                  if c.target == "aten.prelu.default" else None,
                  lambda n: fx_call("aten.prelu.default", tensor(n, "x"), tensor(n, "slope"))),
        onnx=OnnxForm(("PRelu",), _read_prelu_onnx, _write_prelu_onnx),
    ),
    Operator(
        "nn.silu", "x * sigmoid(x).", X, sample=sample_x, traits=UNARY, fx=_plain("silu"),
        onnx=written_as_others(_write_silu),
    ),
    Operator(
        "nn.swish", "x * sigmoid(alpha * x).", X, {"alpha": 1.0}, traits=UNARY,
        onnx=OnnxForm(("Swish",), _read_swish, _write_swish),
        sample=lambda rng: Sample(sample_x(rng).operands, {"alpha": float(rng.choice([1, 0.5]))}),
    ),
    Operator(
        "nn.rsqrt", "1 / sqrt(x).", X, traits=(*UNARY, "nonnegative"), fx=_plain("rsqrt"),
        onnx=written_as_others(_write_rsqrt),
        sample=lambda rng: Sample({"x": np.abs(normal(rng, 2, 3)) + np.float32(0.1)}),
    ),
    Operator(
        "nn.hardswish", "x * hardsigmoid(x) with alpha 1/6.", X, sample=sample_x,
        traits=UNARY, fx=_plain("hardswish"), onnx=_simple_onnx("HardSwish"),
    ),
    Operator(
        "nn.mish", "x * tanh(softplus(x)).", X, sample=sample_x, traits=UNARY, fx=_plain("mish"),
        onnx=OnnxForm(("Mish",), _read_mish, _write_mish),
    ),
    Operator(
        "nn.softplus", "log(1 + exp(x)).", X, sample=sample_x, onnx=_simple_onnx("Softplus"),
        traits=(*UNARY, "monotone", "nonnegative"),
        fx=FxForm(("aten.softplus.default",), _read_softplus,
                  lambda n: fx_call("aten.softplus.default", tensor(n, "x"))),
    ),
    Operator(
        "nn.gelu", "x * Phi(x); approximate is \"none\" (erf) or \"tanh\".", X,
        {"approximate": "none"}, sample=_sample_gelu, traits=UNARY,
        fx=FxForm(_overloads("gelu"), _read_gelu, lambda n: fx_call(
            "aten.gelu.default", tensor(n, "x"), approximate=n.attributes["approximate"])),
        onnx=OnnxForm(("Gelu",), _read_gelu_onnx, _write_gelu),
    ),
)  # fmt: skip
