"""The variance and the standard deviation along axes, with and without the mean."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from sparqc.ir.graph import Node, Value
from sparqc.ir.operators.reduction import axes_from_front
from sparqc.ir.vocabulary.forms import (
    FLOATS,
    NUMPY_DTYPES,
    ONNX_DTYPES,
    Rng,
    X,
    fx_call,
    ints,
    normal,
    rank_of,
    static_ints,
    tensor,
    written_as_others,
)
from sparqc.ir.vocabulary.operator import (
    REQUIRED,
    Call,
    FxCall,
    FxForm,
    OnnxEmitter,
    Operator,
    Reading,
    Sample,
)
from sparqc.ir.vocabulary.traits import Trait


def _read(call: Call) -> Reading | None:
    """`correction` is what the number of elements is lowered by; `unbiased` is one, or none."""
    given, x = call.arguments, call.arguments["self"]
    correction = given["unbiased"] if "unbiased" in given else given.get("correction")
    correction = 1 if correction is None else correction
    axes = axes_from_front(given.get("dim"), rank_of(x))
    if not axes or not isinstance(correction, bool | int | float) or x.type.dtype not in FLOATS:
        return None
    attributes: dict[str, Any] = {"axes": axes, "keepdims": bool(given.get("keepdim"))}
    return Reading({"x": x}, {**attributes, "correction": float(correction)})


def _write(target: str) -> Any:
    def write(node: Node) -> FxCall:
        given = {name: node.attributes[name] for name in ("correction", "keepdims")}
        options = {"correction": given["correction"], "keepdim": bool(given["keepdims"])}
        return fx_call(target, tensor(node, "x"), list(ints(node, "axes")), **options)

    return write


class _Writer:
    """Writes the parts of one node: a mean of squares, with what corrects it."""

    def __init__(self, node: Node, emitter: OnnxEmitter) -> None:
        self.node, self.emitter = node, emitter
        self.x, self.axes = tensor(node, "x"), ints(node, "axes")
        self.hint = node.outputs[0].name
        self.dtype = self.x.type.dtype if self.x.type.dtype in FLOATS else "f32"
        self.keepdims = bool(node.attributes["keepdims"])

    def emit(
        self, op_type: str, *inputs: Value | str, output: Value | str = "", **given: Any
    ) -> Any:
        """Write one ONNX node; of a new tensor where no output is named."""
        output = output or self.emitter.temp(self.hint)
        self.emitter.emit(op_type, list(inputs), given, outputs=[output])
        return output

    def mean(self, x: Value | str, keepdims: bool, output: Value | str = "") -> Any:
        """The mean along the axes: a constant input from opset 18 on, an attribute before."""
        if self.emitter.opset < 18:
            return self.emit("ReduceMean", x, output=output, axes=self.axes, keepdims=int(keepdims))
        axes = self.constant(np.array(self.axes))
        return self.emit("ReduceMean", x, axes, output=output, keepdims=int(keepdims))

    def constant(self, array: Any) -> str:
        return self.emitter.constant(np.asarray(array), f"{self.hint}_stored")

    def write(self, root: bool) -> None:
        """The variance into the first output, or its root; the mean into the second one."""
        mean = self.mean(self.x, keepdims=True)
        if len(self.node.outputs) > 1:
            self.mean(self.x, self.keepdims, self.node.outputs[1])
        centered = self.emit("Sub", self.x, mean)
        squares = self.emit("Mul", centered, centered)
        factor = self.factor()
        last = self.node.outputs[0]
        between = last if factor is None and not root else ""
        variance = self.mean(squares, self.keepdims, between)
        if factor is not None:
            variance = self.emit("Mul", variance, factor, output="" if root else last)
        if root:
            self.emit("Sqrt", variance, output=last)

    def factor(self) -> str | None:
        """n / max(n - correction, 0) for n numbers in each sum, None where it is 1."""
        correction = float(self.node.attributes["correction"])  # type: ignore[arg-type]
        if correction == 0:
            return None
        sizes = static_ints([self.x.shape[axis] if self.x.shape else None for axis in self.axes])
        if sizes is None:
            return self.computed_factor(correction)
        count = np.float64(prod(sizes))
        with np.errstate(divide="ignore"):
            factor = count / np.maximum(count - correction, 0)
        return self.constant(factor.astype(NUMPY_DTYPES[self.dtype]))

    def computed_factor(self, correction: float) -> str:
        """The same where a size is symbolic."""
        shape = self.emit("Shape", self.x)
        sizes = self.emit("Gather", shape, self.constant(np.array(self.axes)), axis=0)
        product = self.emit("ReduceProd", sizes, keepdims=0)
        wide = "f64" if self.dtype == "f64" else "f32"  # FP16 counts to 2048
        count = self.emit("Cast", product, to=ONNX_DTYPES[wide])
        given = (np.array(n, NUMPY_DTYPES[wide]) for n in (correction, 0))
        less, none = (self.constant(array) for array in given)
        divisor = self.emit("Max", self.emit("Sub", count, less), none)
        factor: str = self.emit("Div", count, divisor)
        if self.dtype == wide:
            return factor
        cast: str = self.emit("Cast", factor, to=ONNX_DTYPES[self.dtype])
        return cast


def _row(name: str, doc: str, *traits: Trait, root: bool, mean: bool) -> Operator:
    packet = f"aten.{name}"
    targets = [f"{packet}.correction", f"{packet}.dim", f"{packet}.default"]
    if not mean:  # and of the two results, where nobody reads the mean
        targets += [f"{packet}_mean.correction", f"{packet}_mean.dim", f"{packet}_mean.default"]
    return Operator(
        f"nn.{name}", doc, X, {"axes": REQUIRED, "keepdims": True, "correction": 1.0},
        outputs=("y", "mean") if mean else ("y",), sample=_sample, traits=("reduces", *traits),
        fx=FxForm(tuple(targets), _read, _write(targets[0])),
        onnx=written_as_others(lambda n, e: _Writer(n, e).write(root)),
    )  # fmt: skip


def _sample(rng: Rng) -> Sample:
    attributes: dict[str, Any] = {
        "axes": [(1,), (0, 2), (0, 1, 2)][int(rng.integers(3))],
        "keepdims": bool(rng.integers(2)),
        "correction": [0.0, 1.0, 2.0, 0.5][int(rng.integers(4))],
    }
    return Sample({"x": normal(rng, 2, 3, 4) + 3}, attributes)


OPERATORS = (
    _row("var", "The sum of the squared distances from the mean along axes, over how many there "
         "are less the correction.", "nonnegative", root=False, mean=False),
    _row("std", "The root of the variance along axes.", "homogeneous", "nonnegative", root=True,
         mean=False),
    _row("var_mean", "The variance along axes, and the mean.", root=False, mean=True),
    _row("std_mean", "The root of the variance along axes, and the mean.", "homogeneous", root=True,
         mean=True),
)  # fmt: skip
