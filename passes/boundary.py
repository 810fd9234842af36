"""The element types of graph inputs and outputs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from sparqc.errors import UsageError
from sparqc.ir.graph import Graph, Node, TensorType, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.quantizers import DEQUANTIZE, QUANTIZE
from sparqc.numerics.finite import largest_magnitude, require_finite
from sparqc.numerics.int8_codes import safe_scale
from sparqc.passes.on_data.batches import calibration_batches
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context

_LIMITED = "beyond --limit"


@dataclass(frozen=True)
class End:
    """An input or output whose type was to be changed."""

    name: str
    kind: str  # "input" or "output"
    dtype: str
    #: What one step of INT8 codes stands for; None for floats.
    scale: float | None = None
    #: Why it is not INT8 though that was asked for.
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class BoundaryEnds:
    """The fact that `boundary` leaves: what became of each input and output."""

    ends: tuple[End, ...] = ()


@register
@dataclass(frozen=True)
class Boundary(Pass):
    """Give inputs and outputs the element types that `--io` asks for.

    `fp16` gives FP32 inputs and outputs that type.  `int8` takes the quantizer of an input away, so
    that the caller gives codes in the scale that the report names, and the DequantizeLinear that an
    output ends on.  An output that is asked for by its name, and ends in float, gets a quantizer;
    its scale is the maximum over the calibration data.  Integers stay as they are.
    """

    name = "boundary"
    level = "onnx"
    preserves = "close"
    carries_out = ("io",)

    def run(self, graph: Graph, context: Context) -> int:
        """Change the types; returns how many."""
        if context.boundary.is_plain:
            return 0
        outputs = _outputs(graph, context)  # first: what is measured there takes the old inputs
        ends = [*_inputs(graph, context), *outputs]
        graph.drop_dead()
        context.facts.put(BoundaryEnds(tuple(ends)))
        context.scales.update({e.name: e.scale for e in ends if e.scale is not None})
        return sum(e.dtype != "f32" for e in ends)


# -- inputs ------------------------------------------------------------------------------------


def _inputs(graph: Graph, context: Context) -> list[End]:
    floats = [v for v in graph.inputs if v.type.dtype == "f32"]
    return [
        _input(graph, context, value, word, named=value.name in context.boundary.named)
        for value in floats
        if (word := context.boundary.of(value.name)) != "float"
    ]


def _input(graph: Graph, context: Context, value: Value, word: str, *, named: bool) -> End:
    if word == "fp16":
        if not context.action.decides(value.name, f"{value.name}.f32"):
            return End(value.name, "input", "f32", note=_LIMITED)
        _take_half(graph, value)
        return End(value.name, "input", "f16")
    quantizers = [n for n in value.readers if n.op == QUANTIZE]
    if reason := _why_no_codes(value, quantizers):
        _refuse(value.name, reason, named=named)
        return End(value.name, "input", "f32", note=reason)
    if not context.action.decides(value.name, *(node.output.name for node in quantizers)):
        return End(value.name, "input", "f32", note=_LIMITED)
    scale = float(cast(np.ndarray, _scale_of(quantizers[0]).data))
    value.type = TensorType("i8", value.shape)
    for node in quantizers:
        graph.replace(node.output, value)
    return End(value.name, "input", "i8", scale)


def _take_half(graph: Graph, value: Value) -> None:
    """Let an input be FP16, with a Cast back to FP32 behind it."""
    readers, outputs = value.readers, value.outputs
    first = next((n for n in graph.nodes if n in readers), None)
    shape = value.shape
    cast_node = graph.create(
        "nn.cast", {}, {"to": "f32"},
        types=[TensorType("f32", shape)], names=[f"{value.name}.f32"], before=first,
    )  # fmt: skip
    if readers or outputs:
        graph.replace(value, cast_node.output)
    graph.set_operand(cast_node, "x", value)
    value.type = TensorType("f16", shape)


def _why_no_codes(value: Value, quantizers: list[Node]) -> str:
    if not quantizers:
        return "no operator reads it in INT8"
    if len(quantizers) < len(value.readers) or value.is_output:
        return "an operator reads it in float as well"
    scales = [_scale_of(node).data for node in quantizers]
    if any(s is None or s.ndim or s != scales[0] for s in scales):
        return "its quantizers do not have one scale"
    if any(node.operands.get("zero_point") is not None for node in quantizers if _has_offset(node)):
        return "its zero point is not 0"
    return ""


def _has_offset(node: Node) -> bool:
    zero = node.operands.get("zero_point")
    return isinstance(zero, Value) and (zero.data is None or bool(zero.data.any()))


def _scale_of(node: Node) -> Value:
    return cast(Value, node.operands["scale"])


def _refuse(name: str, reason: str, *, named: bool) -> None:
    """A wish for one input by its name is not dropped in silence."""
    if named:
        raise UsageError(f"--io {name}=int8: {reason}", hint="leave it in float, or in fp16")


# -- outputs -----------------------------------------------------------------------------------


def _outputs(graph: Graph, context: Context) -> list[End]:
    ends, values = [], list(graph.outputs)
    for index, name in enumerate(graph.output_names):
        word = context.boundary.of(name)
        if word != "float" and values[index].type.dtype == "f32":
            named = name in context.boundary.named
            values[index], end = _output(graph, context, index, word, named=named)
            ends.append(end)
    graph.set_outputs(values, graph.output_names)
    return ends


def _output(
    graph: Graph, context: Context, index: int, word: str, *, named: bool
) -> tuple[Value, End]:
    """The new value of an output, and what is said of it."""
    value, name = graph.outputs[index], graph.output_names[index]
    codes = None if word == "fp16" else _codes(value)
    if not (word == "fp16" or codes or named):
        return value, End(name, "output", "f32", note=f"it ends in float; ask for {name}=int8")
    if not context.action.decides(value.name, name):
        return value, End(name, "output", "f32", note=_LIMITED)
    if word == "fp16":
        half = _append(graph, value, "nn.cast", {"x": value}, {"to": "f16"})
        return half, End(name, "output", "f16")
    if codes is not None:
        return codes[0], End(name, "output", "i8", codes[1])
    scale = safe_scale(np.array(_largest(graph, context, index) / 127))
    operands = {
        "x": value,
        "scale": graph.constant(scale, f"{name}.scale"),
        "zero_point": graph.constant(np.zeros((), np.int8), f"{name}.zero_point"),
    }
    quantized = _append(graph, value, QUANTIZE, operands, {"axis": None, "to": "i8"})
    return quantized, End(name, "output", "i8", float(scale))


def _codes(value: Value) -> tuple[Value, float] | None:
    """The codes that an output ends on, with their one scale; None where it ends on none."""
    node = value.producer
    if node is None or node.op != DEQUANTIZE or _has_offset(node):
        return None
    scale = _scale_of(node).data
    if scale is None or scale.ndim:
        return None
    return cast(Value, node.operands["x"]), float(scale)


def _append(graph: Graph, value: Value, op: str, operands: Any, attributes: Any) -> Value:
    dtype = str(attributes["to"])
    origin = value.producer.origin if value.producer else None
    return graph.create(
        op, operands, attributes,
        types=[TensorType(dtype, value.shape)], names=[f"{value.name}.{dtype}"], origin=origin,
    ).output  # fmt: skip


def _largest(graph: Graph, context: Context, index: int) -> float:
    """max|y| of an output over the calibration data."""
    runner = open_runner(graph, context.table, optimize="all")
    largest = 0.0
    for number, batch in calibration_batches(graph, context):
        outputs, _ = runner.run(batch)
        require_finite(outputs[index], f"the output {graph.output_names[index]!r} ({number})")
        largest = max(largest, largest_magnitude(outputs[index]))
    return largest
