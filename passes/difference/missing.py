"""What the plan reads in INT8, and the graph in float."""

from __future__ import annotations

from collections.abc import Iterator

from sparqc.ir.graph import Node, Value
from sparqc.ir.layer_names import name_of, value_name
from sparqc.ir.quantizers import DEQUANTIZE, QUANTIZE
from sparqc.ir.weighted import weight_of
from sparqc.lang.ast import Bind, QuantizedOperand
from sparqc.passes.difference.arrivals import quantizers, tensor
from sparqc.passes.difference.difference import Difference, Sides
from sparqc.passes.difference.kinds import MOVES_FLOATS
from sparqc.passes.place.decide import Decision
from sparqc.predict.codes import FLOAT_WEIGHT, weight_fault


def missing(sides: Sides) -> Iterator[Difference]:
    """The operands that a kernel would take in INT8, and that are float."""
    if not sides.arriving:
        return  # weights alone are quantized, for a smaller file
    yield from _data(sides)
    yield from _weights(sides)
    yield from _outputs(sides)
    yield from _moves(sides)


def _data(sides: Sides) -> Iterator[Difference]:
    for value, asked in sides.plan.placing.asked.items():
        for (node, slot), decision in asked.items():
            name = node.output.name
            if (name, slot, value.name) in sides.arriving or _is_faulty(sides, node, value):
                continue
            yield _missing(sides, decision, value, node)


def _operand(decision: Decision, value: Value, node: Node) -> tuple[QuantizedOperand, str]:
    """The line that asks for a value in INT8, and its name there: of two names of one value that by
    which the operator reads it, as a block may add what it convolves."""
    calls = [call.call for call in decision.match.calls if node in call.nodes]
    read = {bind.name for call in calls for bind in call.operands if isinstance(bind, Bind)}
    lines = [
        (line, name)
        for line in decision.fusion.int8
        for name in line.names
        if decision.match.bindings.get(name) is value
    ]
    return next((found for found in lines if found[1] in read), lines[0])


def _missing(sides: Sides, decision: Decision, value: Value, node: Node) -> Difference:
    fusion = decision.fusion
    line, operand = _operand(decision, value, node)
    id, message = sides.said(
        line.reason,
        decision.match,
        f"{fusion.name}-{operand}".replace("_", "-"),
        f"{name_of(node)} runs in INT8 ({fusion.name}), but reads {value_name(value)} in float",
    )
    return Difference(id, "missing", node.output.name, value.name, message, fusion.source)


def _is_faulty(sides: Sides, node: Node, value: Value) -> bool:
    """Whether a quantizer stands there that no INT8 kernel takes in: other checks name it."""
    now = sides.node_now(node.output.name)
    if now is None:
        return True
    return any(
        v.producer is not None
        and v.producer.op == DEQUANTIZE
        and sides.now.units.scales.get(v.producer) is None
        and tensor(v).name == value.name
        for v in now.inputs
    )


def _weights(sides: Sides) -> Iterator[Difference]:
    table = sides.plan.context.table
    for decision in sides.plan.placing.decider.decisions:
        if decision.reason:
            continue
        for node in decision.match.nodes:
            now = sides.node_now(node.output.name)
            found = weight_of(now, table) if now is not None else None
            if found is None or weight_fault(found, table) != FLOAT_WEIGHT:
                continue
            yield _missing(sides, decision, next(iter(decision.weights)), node)


def _outputs(sides: Sides) -> Iterator[Difference]:
    """The values that get a quantizer though nobody reads them in INT8."""
    for value, decision in sides.plan.placing.behind.items():
        now = sides.value_now(value)
        if now is None or any(quantizers(now)):
            continue
        fusion = decision.fusion
        lines = [q for q in (*fusion.int8, *fusion.sparse_outputs) if q.output]
        bound = decision.match.bindings
        reason = next((q.reason for q in lines for n in q.names if bound.get(n) is value), None)
        root = decision.match.root.output.name
        id, message = sides.said(
            reason,
            decision.match,
            f"{fusion.name}-output".replace("_", "-"),
            f"{name_of(decision.match.root)} runs in INT8, but nothing quantizes "
            f"{value_name(value)}, which it gives",
        )
        yield Difference(id, "missing", root, value.name, message, fusion.source)


def _moves(sides: Sides) -> Iterator[Difference]:
    """Operators that would move codes, and move floats for the sake of one of their readers."""
    now = sides.now.units
    for node, movement in sides.plan.placing.decider.movements.items():
        there = sides.node_now(node.output.name)
        if there is None or now.moved.get(there) is not None:
            continue
        floats = [r for v in there.outputs for r in v.readers if r.op != QUANTIZE]
        if not any(any(quantizers(v)) for v in there.outputs) or not floats:
            continue  # nobody takes codes yet: what would is named
        if sides.then.units.moved.get(node) is None:
            continue
        kind = MOVES_FLOATS
        message = f"{name_of(node)} moves floats, as {name_of(floats[0])} reads it in float"
        yield kind.difference(node.output.name, tensor(movement.inputs[0]).name, message)
