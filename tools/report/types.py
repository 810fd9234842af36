"""In which type each operator runs, and what inputs and outputs are, read off the final graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from sparqc.base.text import counted, shortened
from sparqc.ir.graph import Graph, Node
from sparqc.ir.layer_names import layer_name
from sparqc.ir.quantizers import CONVERSIONS, reads_codes_only
from sparqc.passes.boundary import BoundaryEnds, End
from sparqc.passes.half.half import HalfConversion, KeptOperator
from sparqc.rewrite.context import Context


@dataclass(frozen=True)
class OperatorTypes:
    """How many operators read INT8 codes only, and in which type the others compute.

    Quantizers and Casts are not counted, nor is what computes with integers.
    """

    int8: int = 0
    fp16: int = 0
    fp32: int = 0
    casts: int = 0
    #: Why operators are FP32 where the others are FP16.
    kept: tuple[KeptOperator, ...] = ()
    #: Constants that were clamped to the range of FP16.
    clamped: tuple[str, ...] = ()
    #: Why all floats are FP32 where the target prefers FP16.
    refused: str = ""
    #: Inputs and outputs whose type was to be changed.
    ends: tuple[End, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def operator_types(graph: Graph, context: Context) -> OperatorTypes:
    """Count the operators of the final graph."""
    kinds = Counter(kind for node in graph.nodes if (kind := _type_of(node, context)))
    half = context.facts.get(HalfConversion, HalfConversion())
    kept = tuple(k for k in half.kept if k.value in graph)
    return OperatorTypes(
        int8=kinds["i8"],
        fp16=kinds["f16"],
        fp32=kinds["f32"],
        casts=sum(node.op == "nn.cast" for node in graph.nodes),
        kept=kept,
        clamped=half.clamped,
        refused=half.refused,
        ends=tuple(
            replace(end, scale=context.scales.get(end.name))
            for end in context.facts.get(BoundaryEnds, BoundaryEnds()).ends
        ),
    )


def _type_of(node: Node, context: Context) -> str:
    """ "i8", "f16", "f32", or "" for what is not counted."""
    dtype = node.output.type.dtype
    if node.op in (*CONVERSIONS, "nn.cast") or dtype not in ("f16", "f32", "i8"):
        return ""
    return "i8" if reads_codes_only(node, context.table) else dtype


def type_lines(types: OperatorTypes) -> Iterator[str]:
    """What a person reads of it; nothing where all floats are FP32 as the target has them."""
    if types.refused:
        yield f"all floats stay FP32: {types.refused}"
    if not types.fp16:
        return
    reads = "1 operator reads" if types.int8 == 1 else f"{types.int8} operators read"
    casts = counted(types.casts, "Cast")
    yield f"{reads} INT8 only, {types.fp16} are FP16, {types.fp32} FP32; {casts}"
    groups: dict[str, list[str]] = {}
    for kept in types.kept:
        groups.setdefault(kept.reason, []).append(layer_name(kept.value, kept.module))
    for reason, values in groups.items():
        yield f"FP32: {shortened(values)}: {reason}"
    if types.clamped:
        yield f"clamped to FP16: {shortened(types.clamped)}"


def end_lines(types: OperatorTypes) -> Iterator[str]:
    """A line for each input and output whose type was to be changed."""
    names = {"f16": "FP16", "f32": "FP32", "i8": "INT8 codes"}
    for end in types.ends:
        step = "" if end.scale is None else f", one step is {end.scale:.8g}"
        note = f" ({end.note})" if end.note else ""
        yield f"{end.kind} {end.name}: {names[end.dtype]}{step}{note}"
