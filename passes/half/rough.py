"""Operators that FP16 computed too roughly when that was tried: they stay in FP32."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from sparqc.ir.graph import Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.ir.quantizers import CONVERSIONS
from sparqc.rewrite.context import Context
from sparqc.validation.departure import Departure


@dataclass(frozen=True)
class TooRough:
    """The fact of what was off by more than FP16 explains, on a sample."""

    #: Why each operator is to stay in FP32, by the name of its result.
    operators: Mapping[str, str] = field(default_factory=dict)
    #: Why everything is; "" where that helps.
    refused: str = ""


def note_rough(departures: Sequence[Departure], context: Context) -> bool:
    """Note operators that depart in FP16; tells whether trying again may help.

    One that departs in FP32 too reads numbers that were rounded to FP16, and cancel: then what
    gives them is noted.  Where all of that is FP32, nothing is to be converted at all, unless a
    person asked for it.
    """
    known = context.facts.get(TooRough, TooRough())
    found: dict[str, str] = {}
    for departure in departures:
        for node in _operators_of(departure.node):
            if node.output.name not in known.operators:
                found[node.output.name] = f"it was off {_by(departure)} in FP16 on a sample"
            else:
                reason = f"in FP16 what it gives cancels in {name_of(node)}"
                found |= {n.output.name: reason for n in _sources(node)}
    new = {name: reason for name, reason in found.items() if name not in known.operators}
    refused = "" if new or context.precision_asked else f"in FP16 {departures[0]}"
    context.facts.put(TooRough({**known.operators, **new}, refused))
    return bool(new or refused) and not known.refused


def _by(departure: Departure) -> str:
    off = departure.relative
    return f"by {off:.2g} of its largest magnitude" if math.isfinite(off) else "altogether"


def around_quantizer(node: Node) -> list[Node]:
    """What a Q reads the result of, or what reads that of a DQ."""
    source = cast(Value, node.operands["x"]).producer
    around = [source] if node.op == "q.quantize" else node.output.readers
    return [n for n in around if n is not None]


def _operators_of(node: Node) -> list[Node]:
    """An operator, or those that a quantizer is fused into."""
    return around_quantizer(node) if node.op in CONVERSIONS else [node]


def _sources(node: Node) -> list[Node]:
    """What gives the numbers that an operator reads, in front of any Cast."""
    found: list[Node] = []
    pending = [v.producer for v in node.inputs]
    while pending:
        source = pending.pop()
        if source is None:
            continue
        if source.op == "nn.cast":
            pending += [v.producer for v in source.inputs]
        else:
            found += _operators_of(source)
    return found
