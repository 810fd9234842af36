"""Graphs whose inputs or outputs are codes, as `--io int8` writes them: to plan where quantizers go
takes floats at the ends, which stand there for as long as that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from sparqc.ir.graph import Array, Graph, Node, TensorType, Value
from sparqc.ir.quantizers import DEQUANTIZE, QUANTIZE
from sparqc.ir.vocabulary.table import OperatorTable


@dataclass(frozen=True)
class CodedEnd:
    """An input, or the output of that number, and what its codes stand for."""

    value: Value
    output: int | None
    scale: Array
    zero_point: Array | None
    floats: str


def give_floats(graph: Graph, table: OperatorTable) -> tuple[CodedEnd, ...]:
    """Let the ends of a graph that are codes with one scale and no zero point be floats.

    Behind such an input stands the quantizer that gives its codes, in front of an output what makes
    floats of them.  Returns what `give_codes` needs.
    """
    ends = []
    for value in graph.inputs:
        if node := _dequantizer(value, table):
            ends.append(_end(value, None, node, node.output))
    for number, value in enumerate(graph.outputs):
        if node := _quantizer(value, table):
            ends.append(_end(value, number, node, cast(Value, node.operands["x"])))
    for end in ends:
        if end.output is None:
            _float_input(graph, end)
        else:
            _put(graph, end.output, _convert(graph, DEQUANTIZE, end.value, end))
    return tuple(ends)


def give_codes(graph: Graph, ends: Sequence[CodedEnd]) -> None:
    """Let these ends be codes again: a quantizer with the scale of the end is no longer needed."""
    for end in ends:
        if end.output is None:
            _coded_input(graph, end)
        else:
            _coded_output(graph, end, end.output)
    graph.drop_dead()


def _end(value: Value, output: int | None, node: Node, floats: Value) -> CodedEnd:
    scale, zero = (cast("Value | None", node.operands.get(k)) for k in ("scale", "zero_point"))
    assert scale is not None and scale.data is not None
    return CodedEnd(
        value, output, scale.data, None if zero is None else zero.data, floats.type.dtype
    )


def _dequantizer(value: Value, table: OperatorTable) -> Node | None:
    """A DequantizeLinear of the codes that an input is, behind data movement or not."""
    waiting, seen = [value], {value}
    while waiting and value.type.dtype == "i8":
        for node in waiting.pop().readers:
            if node.op == DEQUANTIZE:
                return node if _is_plain(node) else None
            if table.has(node.op, "selects"):
                fresh = [v for v in node.outputs if v not in seen]
                seen.update(fresh)
                waiting += fresh
    return None


def _quantizer(value: Value, table: OperatorTable) -> Node | None:
    """The QuantizeLinear of the codes that an output is."""
    while value.type.dtype == "i8" and (node := value.producer) is not None:
        if node.op == QUANTIZE:
            return node if _is_plain(node) else None
        if not table.has(node.op, "selects"):
            return None
        value = next(node.inputs)
    return None


def _is_plain(node: Node) -> bool:
    """Whether it has one scale, and the zero point 0."""
    scale, zero = node.operands["scale"], node.operands.get("zero_point")
    one = isinstance(scale, Value) and scale.data is not None and scale.data.ndim == 0
    return one and (not isinstance(zero, Value) or (zero.data is not None and not zero.data.any()))


def _float_input(graph: Graph, end: CodedEnd) -> None:
    value = end.value
    first = next((n for n in graph.nodes if n in value.readers), None)
    codes = _convert(graph, QUANTIZE, None, end, first)
    graph.replace(value, codes)
    graph.set_operand(cast(Node, codes.producer), "x", value)
    value.type = replace(value.type, dtype=end.floats)


def _coded_input(graph: Graph, end: CodedEnd) -> None:
    value = end.value
    given = [n for n in value.readers if n.op == QUANTIZE and _is_of(end, n)]
    in_float = [n for n in value.readers if n not in given]
    value.type = replace(value.type, dtype="i8")
    if in_float:
        floats = _convert(graph, DEQUANTIZE, value, end, in_float[0])
        for node in in_float:
            for slot in node.slots_of(value):
                graph.redirect(node, slot, value, floats)
    for node in given:
        graph.replace(node.output, value)


def _coded_output(graph: Graph, end: CodedEnd, number: int) -> None:
    value = graph.outputs[number]
    giver = value.producer
    if giver is not None and giver.op == DEQUANTIZE and _is_of(end, giver):
        _put(graph, number, cast(Value, giver.operands["x"]))
    else:
        _put(graph, number, _convert(graph, QUANTIZE, value, end))


def _put(graph: Graph, number: int, value: Value) -> None:
    """Let the output of that number be another value."""
    ends = [*graph.outputs]
    ends[number] = value
    graph.set_outputs(ends, graph.output_names)


def _convert(
    graph: Graph, op: str, value: Value | None, end: CodedEnd, before: Node | None = None
) -> Value:
    """The codes of a value, or the floats that codes stand for; where there is none yet, the
    operand is left open."""
    name, to = end.value.name, "i8" if op == QUANTIZE else end.floats
    zero = None if end.zero_point is None else graph.constant(end.zero_point, f"{name}.zero_point")
    operands = {"x": value, "scale": graph.constant(end.scale, f"{name}.scale"), "zero_point": zero}
    return graph.create(
        op, operands, {"axis": None, "to": "i8"} if op == QUANTIZE else {"axis": None},
        types=[TensorType(to, end.value.shape)], names=[f"{name}.{to}"], before=before,
    ).output  # fmt: skip


def _is_of(end: CodedEnd, node: Node) -> bool:
    """Whether a quantizer has the scale of the end."""
    scale = cast(Value, node.operands["scale"]).data
    return _is_plain(node) and scale is not None and bool(scale == end.scale)
