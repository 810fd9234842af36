"""Where codes go: what the checks ask of the graph behind a quantizer.

Which operators count as kernels, movers or tails stands in the pattern files that call these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sparqc.declared.natives import native
from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Node, Value
from sparqc.ir.quantizers import DEQUANTIZE, QUANTIZE
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.natives.in_front import quantized_from, unquantized
from sparqc.passes.natives.scales import same_quantizer


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
    bare = unquantized(value)
    yield bare
    for quantize in (n for n in bare.readers if n.op == QUANTIZE):
        yield from (n.output for n in quantize.output.readers if n.op == DEQUANTIZE)


@native("repeats_quantizer")
def repeats_quantizer(codes: Value) -> bool:
    """Whether another QuantizeLinear in front of this one makes the same codes of the tensor."""
    node, source = codes.producer, quantized_from(codes)
    if node is None or source is None:
        return False
    alike = [q for q in source.readers if q.op == QUANTIZE and same_quantizer(q, node)]
    return alike[0] is not node


def _stands_inside(quantize: Node, tails: Sequence[str]) -> bool:
    """Whether an operator of a tail reads the codes, and nothing else that is computed."""
    table = default_table()
    for dequantize in (n for n in quantize.output.readers if n.op == DEQUANTIZE):
        for reader in (n for n in dequantize.output.readers if n.op in tails):
            if all(v is dequantize.output or is_constant(v, table) for v in reader.inputs):
                return True
    return False
