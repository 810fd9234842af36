"""Where codes come from and where they go: what the checks ask of the graph around a quantizer.

Which operators count as kernels, movers or tails stands in the pattern files that call these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from sparqc.declared.natives import native
from sparqc.ir.constants import constant_value, is_constant
from sparqc.ir.graph import Array, Node, Value
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.natives.placement import bare_branch, depths

QUANTIZE, DEQUANTIZE = "q.quantize", "q.dequantize"


# -- what stands directly in front ---------------------------------------------------------------


@native("is_dequantized")
def is_dequantized(value: Value) -> bool:
    """Whether a value comes straight from a DequantizeLinear."""
    return value.producer is not None and value.producer.op == DEQUANTIZE


@native("runs_in_int8")
def runs_in_int8(result: Value) -> bool:
    """Whether the operator that gives a value reads data and weights from DequantizeLinears."""
    node = result.producer
    if node is None:
        return False
    data = list(node.inputs)[:2]
    return len(data) == 2 and all(map(is_dequantized, data))


@native("dequantized_inputs")
def dequantized_inputs(values: Sequence[Value]) -> int:
    """How many of the values come straight from a DequantizeLinear."""
    return sum(map(is_dequantized, values))


@native("computed_inputs")
def computed_inputs(values: Sequence[Value]) -> int:
    """How many of the values are no constants."""
    table = default_table()
    return sum(not is_constant(v, table) for v in values)


@native("nearly_dequantized")
def nearly_dequantized(value: Value) -> bool:
    """Whether a value comes from a DequantizeLinear, at most one Transpose or Cast in between."""
    node = value.producer
    if node is not None and node.op in ("nn.transpose", "nn.cast"):
        value = next(node.inputs)
    return is_dequantized(value)


@native("from_one_of")
def from_one_of(value: Value, operators: Sequence[str]) -> bool:
    """Whether one of the operators gives a value."""
    return value.producer is not None and value.producer.op in operators


@native("moves_codes")
def moves_codes(value: Value, movers: Sequence[str]) -> bool:
    """Whether one of the movers gives a value, and reads what was dequantized."""
    node = value.producer
    return node is not None and node.op in movers and any(map(is_dequantized, node.inputs))


@native("only_read_once")
def only_read_once(value: Value) -> bool:
    """Whether one operator reads a value, and it is no graph output."""
    return value.reader_count == 1 and not value.is_output


@native("from_input")
def from_input(codes: Value) -> bool:
    """Whether codes were quantized from an input of the graph, or from what a Cast makes of it."""
    source = _quantized_from(codes)
    while source is not None and source.producer is not None and source.producer.op == "nn.cast":
        source = next(source.producer.inputs)
    return source is not None and source.is_input


@native("comes_from_conv")
def comes_from_conv(codes: Value) -> bool:
    """Whether codes were quantized from a convolution's own result, which nobody else reads."""
    source = _quantized_from(codes)
    if source is None or codes.reader_count != 1:
        return False
    return from_one_of(source, ["nn.conv"]) and only_read_once(source)


@native("stays_bare")
def stays_bare(branch: Value, codes: Value) -> bool:
    """Whether `branch`, a convolution's result, is the input of an Add that stays bare, where the
    other input is dequantized from `codes`."""
    source = _quantized_from(codes)
    return source is None or not comes_from_conv(codes) or bare_branch(branch, source)


@native("longer_branch")
def longer_branch(branch: Value, codes: Value) -> bool:
    """Whether `codes` were quantized from a convolution alone that lies deeper than `branch`, both
    in operators and in weighted operators."""
    source = _quantized_from(codes)
    if source is None or not comes_from_conv(codes) or branch.producer is None:
        return False
    deeper = depths(branch.producer.graph)
    return deeper[source] > deeper[branch] and _weights_above(source) > _weights_above(branch)


def _quantized_from(codes: Value) -> Value | None:
    """The value that a QuantizeLinear made codes of."""
    node = codes.producer
    source = node.operands["x"] if node is not None and node.op == QUANTIZE else None
    return source if isinstance(source, Value) else None


def _weights_above(value: Value) -> int:
    """The most weighted operators on a path of single readers that ends in the value."""
    table, count, node = default_table(), 0, value.producer
    while node is not None:
        row = table.get(node.op)
        count += row is not None and row.weight is not None
        node = next((v.producer for v in node.inputs if v.reader_count == 1 and v.producer), None)
    return count


@native("same_tensor")
def same_tensor(first: Value, second: Value) -> bool:
    """Whether two values are one tensor, quantized and dequantized or not."""
    return _bare(first) is _bare(second)


@native("gates_itself")
def gates_itself(value: Value, gate: Value) -> bool:
    """Whether `gate` is computed from `value` itself by one operator, as the sigmoid of a SiLU."""
    node = _bare(gate).producer
    return node is not None and any(_bare(v) is _bare(value) for v in node.inputs)


def _bare(value: Value) -> Value:
    """The tensor behind its quantizers."""
    while (node := value.producer) is not None and node.op in (QUANTIZE, DEQUANTIZE):
        operand = node.operands["x"]
        assert isinstance(operand, Value)
        value = operand
    return value


# -- where it goes -------------------------------------------------------------------------------


@native("readers_among")
def readers_among(value: Value, operators: Sequence[str]) -> int:
    """How many of the operators that read a value are among those named."""
    return sum(node.op in operators for node in value.readers)


@native("reaches")
def reaches(codes: Value, kernels: Sequence[str], movers: Sequence[str]) -> bool:
    """Whether codes arrive at a kernel, at another QuantizeLinear or at a graph output; on the way
    stand only DequantizeLinears and movers."""
    ends = {QUANTIZE, *kernels}
    return any(_walk(codes, {DEQUANTIZE, *movers}, lambda reader: reader.op in ends))


@native("all_quantized")
def all_quantized(value: Value, movers: Sequence[str]) -> bool:
    """Whether every reader of a value is a QuantizeLinear, behind movers or not."""
    seen: set[Value] = set()
    stack = [value]
    while stack:
        current = stack.pop()
        if current.is_output or not current.reader_count:
            return False
        for reader in current.readers:
            if reader.op in movers:
                stack += [v for v in reader.outputs if v not in seen]
                seen.update(reader.outputs)
            elif reader.op != QUANTIZE:
                return False
    return True


def _walk(start: Value, through: set[str], wanted: Callable[[Node], bool]) -> Iterator[bool]:
    """For each reader on the way from a value, whether it is wanted; True for a graph output."""
    seen, stack = {start}, [start]
    while stack:
        value = stack.pop()
        yield value.is_output
        for reader in value.readers:
            yield wanted(reader)
            if reader.op in through:
                stack += [v for v in reader.outputs if v not in seen]
                seen.update(reader.outputs)


@native("feeds")
def feeds(value: Value, operators: Sequence[str], operands: int) -> bool:
    """Whether one of the operators reads a value as one of its first `operands` operands."""
    return any(
        node.op in operators and value in list(node.inputs)[:operands] for node in value.readers
    )


@native("is_bias")
def is_bias(value: Value) -> bool:
    """Whether every reader of a value adds it to a product as its bias."""
    slots = [(node.op, slot) for node in value.readers for slot in node.slots_of(value)]
    return bool(slots) and all(s in _BIASES for s in slots)


_BIASES = {(op, "b") for op in ("nn.conv", "nn.conv_transpose", "nn.linear")} | {("nn.gemm", "c")}


@native("writes_codes")
def writes_codes(result: Value, tails: Sequence[str], kept: Sequence[str]) -> bool:
    """Whether what a kernel gives is quantized behind its tail of operators, or cannot be.

    A graph output stays float, and so does what operators in `kept` read.  A quantizer in front of
    a tail's operator stands inside of the kernel and is none behind it.
    """
    seen, stack = {result}, [result]
    while stack:
        value = stack.pop()
        if value.is_output:
            return True
        for reader in value.readers:
            if reader.op in kept:
                return True
            if reader.op == QUANTIZE and not _stands_inside(reader, tails):
                return True
            if reader.op in {QUANTIZE, DEQUANTIZE, *tails}:
                stack += [v for v in reader.outputs if v not in seen]
                seen.update(reader.outputs)
    return False


@native("multiplied_later")
def multiplied_later(map: Value, pooled: Value) -> bool:
    """Whether a Mul takes a map and what is computed of its average: squeeze-and-excitation."""
    products = {n for v in _spellings(map) for n in v.readers if n.op == "nn.mul"}
    seen, stack = {pooled}, [pooled]
    while stack and products and len(seen) < _GATE:
        for reader in stack.pop().readers:
            if reader in products:
                return True
            stack += [v for v in reader.outputs if v not in seen]
            seen.update(reader.outputs)
    return False


#: The most values between an average and the Mul that it gates.
_GATE = 40


def _spellings(value: Value) -> Iterator[Value]:
    """A tensor, and what was dequantized of it."""
    bare = _bare(value)
    yield bare
    for quantize in (n for n in bare.readers if n.op == QUANTIZE):
        yield from (n.output for n in quantize.output.readers if n.op == DEQUANTIZE)


@native("repeats_quantizer")
def repeats_quantizer(codes: Value) -> bool:
    """Whether another QuantizeLinear in front of this one makes the same codes of the tensor."""
    node, source = codes.producer, _quantized_from(codes)
    if node is None or source is None:
        return False
    alike = [q for q in source.readers if q.op == QUANTIZE and same_quantizer(q, node)]
    return alike[0] is not node


def same_quantizer(first: Node, second: Node) -> bool:
    """Whether two quantizers have the same numbers and the same axis."""
    pairs = ((first.operands[slot], second.operands[slot]) for slot in ("scale", "zero_point"))
    return first.attributes == second.attributes and all(_equal(a, b) for a, b in pairs)


def _equal(first: object, second: object) -> bool:
    if first is second:
        return True
    if not isinstance(first, Value) or not isinstance(second, Value):
        return False
    a, b = (constant_value(v, default_table()) for v in (first, second))
    return a is not None and b is not None and a.dtype == b.dtype and np.array_equal(a, b)


def _stands_inside(quantize: Node, tails: Sequence[str]) -> bool:
    """Whether an operator of a tail reads the codes, and nothing else that is computed."""
    table = default_table()
    for dequantize in (n for n in quantize.output.readers if n.op == DEQUANTIZE):
        for reader in (n for n in dequantize.output.readers if n.op in tails):
            if all(v is dequantize.output or is_constant(v, table) for v in reader.inputs):
                return True
    return False


# -- scales that belong together -----------------------------------------------------------------


@native("largest_scale")
def largest_scale(value: Value) -> Array | None:
    """The largest per-tensor scale among the QuantizeLinears that read a value."""
    return _largest(s for q in value.readers if q.op == QUANTIZE for s in _scales(q))


@native("concat_scale")
def concat_scale(value: Value) -> Array | None:
    """The largest scale among the dequantized inputs of the Concats that read a value."""
    inputs = (v for node in value.readers if node.op == "nn.concat" for v in node.inputs)
    return _largest(
        s for v in inputs if is_dequantized(v) and v.producer for s in _scales(v.producer)
    )


@native("scale_of")
def scale_of(values: Sequence[Value]) -> Array | None:
    """The per-tensor scale that all the values were dequantized with; None where they differ."""
    scales = [s for v in values if v.producer and is_dequantized(v) for s in _scales(v.producer)]
    same = len(scales) == len(values) and len({float(s) for s in scales}) == 1
    return scales[0] if same else None


@native("scale_in_front")
def scale_in_front(value: Value, scale: Array) -> bool:
    """Whether every QuantizeLinear that reads a value has that scale."""
    found = [s for q in value.readers if q.op == QUANTIZE for s in _scales(q)]
    return all(np.array_equal(s, scale) for s in found)


@native("scales_in_front")
def scales_in_front(values: Sequence[Value], scale: Array) -> bool:
    """Whether every QuantizeLinear that reads one of the values has that scale."""
    return all(scale_in_front(v, scale) for v in values)


def _scales(quantizer: Node) -> Iterator[Array]:
    """The per-tensor scale of a quantizer, if it is a constant."""
    operand = quantizer.operands["scale"]
    scale = constant_value(operand, default_table()) if isinstance(operand, Value) else None
    if scale is not None and scale.size == 1:
        yield scale.reshape(())


def _largest(scales: Iterator[Array]) -> Array | None:
    return max((s for s in scales if np.isfinite(s)), key=float, default=None)


# -- attention -----------------------------------------------------------------------------------


@native("products_agree")
def products_agree(logits: Value, result: Value) -> bool:
    """Whether the product behind the logits of a Softmax runs in INT8 as the one in front does.

    True where no product of two computed matrices is found within four operators.
    """
    table, value = default_table(), logits
    for _ in range(4):
        node = value.producer
        if node is None:
            return True
        if node.op == "nn.matmul":
            weighted = any(is_constant(v, table) for v in node.inputs)
            return weighted or runs_in_int8(value) == runs_in_int8(result)
        value = next((v for v in node.inputs if not is_constant(v, table)), value)
    return True
