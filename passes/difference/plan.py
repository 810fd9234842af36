"""What `place` would make of a graph that carries quantizers: they are taken out and put in anew,
with the ranges that they had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Array, Graph, Value
from sparqc.passes.adopt.adopt import Adopt
from sparqc.passes.adopt.adopted import known_amax
from sparqc.passes.calibrate.calibrate import Calibrate
from sparqc.passes.difference.arrivals import Operand
from sparqc.passes.difference.coded_ends import give_codes, give_floats
from sparqc.passes.masks.pruning import Mask, Pruning
from sparqc.passes.place.decide import ArrivesInInt8, Unmeasured
from sparqc.passes.place.place import Place, Placing
from sparqc.passes.surgery import Surgery
from sparqc.predict.engine import LedgerRow
from sparqc.rewrite.context import Context
from sparqc.rewrite.facts import Facts

#: The largest INT8 code.
_HIGH = 127


@dataclass(frozen=True)
class Plan:
    """A graph with the quantizers of the plan, and what they follow from.

    Scales that nobody knows are numbers of their own, one for each group of values.
    """

    graph: Graph
    context: Context
    placing: Placing
    #: The values that the plan quantizes, and whose range nobody has measured.
    unmeasured: frozenset[str]


def plan_of(
    graph: Graph, context: Context, arriving: Iterable[Operand], rows: Iterable[LedgerRow]
) -> Plan:
    """The plan for an ONNX graph, which stays as it is.

    Args:
        graph: the graph with its quantizers.
        context: the target and its knobs.
        arriving: the operands that are codes in it.
        rows: its ledger; layers that may run sparse are planned as masked ones.

    Raises SparqcError where the quantizers cannot be taken out: the graph computes on codes.
    """
    own = replace(context, facts=Facts(), calibration=None, reference=None, progress=_silent)
    planned = graph.clone()
    ends = give_floats(planned, context.table)
    Adopt().run(planned, own)
    own.facts.put(ArrivesInInt8(frozenset(arriving)))
    own.facts.put(Pruning({row.value: _mask(row) for row in rows if row.sparse}))
    placing = Place().place(planned, own)
    unmeasured = frozenset(_set_scales(planned, placing, own))
    give_codes(planned, ends)
    return Plan(planned, own, placing, unmeasured)


def carry_out(graph: Graph, context: Context, plan: Plan) -> None:
    """Let a graph have the quantizers of its plan, as far as ranges are known."""
    own = replace(plan.context, facts=Facts(), action=context.action)
    ends = give_floats(graph, context.table)
    Adopt().run(graph, own)
    arriving = plan.context.facts[ArrivesInInt8], plan.context.facts[Pruning]
    for fact in (*arriving, Unmeasured(plan.unmeasured)):
        own.facts.put(fact)
    Place().run(graph, own)
    Calibrate().run(graph, own)
    give_codes(graph, ends)
    Surgery().run(graph, own)
    graph.sort()


def _silent(done: int, total: int | None, what: str) -> None:
    """No progress display."""


def _mask(row: LedgerRow) -> Mask:
    return Mask(row.value, "", row.weight, row.shape, 0, True, "")


def _set_scales(graph: Graph, placing: Placing, context: Context) -> Iterator[str]:
    """Set the scales that `place` left open; gives the values without a known range."""
    groups: dict[str, list[Value]] = {}
    for quantizer in placing.placement.quantizers:
        groups.setdefault(quantizer.scale, []).append(graph.value(quantizer.value))
    for number, (name, values) in enumerate(groups.items(), 1):
        scale = graph.value(name)
        assert scale.data is not None
        if not np.isnan(scale.data).any():
            continue
        amax = None
        if not all(is_constant(v, context.table) for v in values):
            amax = known_amax(values, context)
            if amax is None:
                yield from (v.name for v in values)
        scale.data = _filled(scale.data, number if amax is None else amax / _HIGH)


def _filled(scale: Array, number: float) -> Array:
    return np.full(scale.shape, max(number, float(np.finfo(scale.dtype).tiny)), scale.dtype)
