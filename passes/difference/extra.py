"""What the graph reads in INT8, and the plan in float."""

from __future__ import annotations

from collections.abc import Iterator

from sparqc.ir.graph import Node, Value
from sparqc.ir.layer_names import name_of, value_name
from sparqc.ir.quantizers import DEQUANTIZE
from sparqc.passes.difference.arrivals import Operand, operands, tensor
from sparqc.passes.difference.difference import Difference, Sides
from sparqc.passes.difference.kinds import FLOAT_READER, INSIDE
from sparqc.predict.units import Units


def extra(sides: Sides) -> Iterator[Difference]:
    """The operands that are codes although their operator would not take them."""
    asked = set(_asked(sides))
    for operand in dict.fromkeys([*sides.arriving, *_moved_for_nothing(sides.now.units)]):
        if operand not in asked and operand not in sides.planned:
            yield from _extra(sides, operand)


def _asked(sides: Sides) -> Iterator[Operand]:
    placing = sides.plan.placing
    for value, slots in placing.asked.items():
        yield from ((node.output.name, slot, value.name) for node, slot in slots)
    for value in placing.behind:
        now = sides.value_now(value)
        for reader in now.readers if now is not None else ():
            for dequantize in reader.outputs:
                for node in dequantize.readers:
                    yield from (o for v in node.outputs for o in operands(node, v))


def _moved_for_nothing(units: Units) -> Iterator[Operand]:
    """What is dequantized for an operator that moves data, and taken as codes by nobody."""
    for node in units.flow.movements:
        for value in node.inputs:
            from_codes = value.producer is not None and value.producer.op == DEQUANTIZE
            if from_codes and value in units.flow.codes and units.moved.get(node) is None:
                yield from operands(node, value)


def _extra(sides: Sides, operand: Operand) -> Iterator[Difference]:
    reader, _, name = operand
    node = sides.node_then(reader)
    if node is None or name not in sides.plan.graph:
        return
    decider, value = sides.plan.placing.decider, sides.plan.graph.value(name)
    decision = decider.owners.get(node)
    by, called = name_of(node), value_name(value)
    if decision is not None and decision is _owner(sides, value):
        doc = decision.fusion.doc
        message = f"{called} is quantized in front of {by}, inside of {decision.fusion.name}"
        yield INSIDE.difference(reader, name, f"{message}: {doc[:1].lower()}{doc[1:].rstrip('.')}")
        return
    why = f"nothing takes what {by} gives in INT8" if node in decider.movements else ""
    if decision is not None:
        why = decision.reason or f"{decision.fusion.name} takes that operand in float"
    why = why or "no fusion of the target takes it in INT8"
    found = FLOAT_READER.difference(reader, name, f"{by} reads {called} in INT8: {why}")
    if decision is not None and decision.id:
        found = Difference(
            decision.id.replace("_", "-"), "extra", reader, name, found.message,
            decision.fusion.source,
        )  # fmt: skip
    yield found


def _owner(sides: Sides, value: Value) -> object:
    producer: Node | None = tensor(value).producer
    return sides.plan.placing.decider.owners.get(producer) if producer is not None else None
