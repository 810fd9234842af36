"""ONNX calls into nodes of a graph: in the vocabulary where a row takes them, else raw.

The calls come from a model that is read, or from the operator table that writes an FX graph.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from sparqc.ir.graph import Array, Attribute, Graph, Node, Origin, TensorType, Value
from sparqc.ir.onnx.native import OnnxRaw
from sparqc.ir.vocabulary.onnx_names import CAPTURED, raw_name
from sparqc.ir.vocabulary.onnx_schema import Signature, signature_of
from sparqc.ir.vocabulary.operator import Call, Operator, Reading, Required
from sparqc.ir.vocabulary.table import OperatorTable


@dataclass(frozen=True)
class OnnxCall:
    """One ONNX node over values of a graph."""

    op_type: str
    domain: str
    inputs: Sequence[Value | None]
    attributes: Mapping[str, Attribute]
    #: Name and type of each output.
    outputs: Sequence[tuple[str, TensorType]]
    #: Indices of outputs that are left out, though later ones are there.
    omitted: frozenset[int] = frozenset()
    #: The values that subgraphs read from around them, by the name that these use.
    captured: Mapping[str, Value] = field(default_factory=dict)
    subgraphs: Mapping[str, onnx.GraphProto] = field(default_factory=dict)
    origin: Origin | None = None


class OnnxCallBuilder:
    """Adds nodes to a graph, in the order of the calls.

    `fresh` gives a name that is free for a constant, from a hint.
    """

    def __init__(
        self,
        graph: Graph,
        table: OperatorTable,
        opsets: Mapping[str, int],
        fresh: Callable[[str], str],
    ) -> None:
        self.graph, self.table, self.opsets, self.fresh = graph, table, opsets, fresh
        #: The place of each value in the order of definition, for operands that commute.
        self._places: dict[Value, int] = {}

    def define(self, value: Value) -> Value:
        """Note that a value exists from here on."""
        self._places[value] = len(self._places)
        return value

    def constant(self, name: str, data: Array) -> Value:
        """Add a constant; the array is kept, not copied."""
        return self.define(self.graph.constant(data, name))

    def signature(self, op_type: str, domain: str) -> Signature | None:
        """What the schema says of an operator in the graph's opsets."""
        return signature_of(op_type, domain, self.opsets.get(domain, 1))

    def call(self, call: OnnxCall) -> Node:
        """Add one call."""
        operator, reading, raw = self._reading(call)
        made = self.graph.create(
            operator.name if operator else raw_name(call.op_type, call.domain),
            self._operands(operator, reading, call.outputs[0][0]),
            _attributes(operator, reading),
            types=[type for _, type in call.outputs],
            names=[name for name, _ in call.outputs],
            origin=call.origin,
            raw=raw,
        )
        for value in made.outputs:
            self.define(value)
        return made

    def _reading(self, call: OnnxCall) -> tuple[Operator | None, Reading, OnnxRaw | None]:
        """The row that takes the call, or none and the call as it stands."""
        signature = self.signature(call.op_type, call.domain)
        inputs, attributes = _arguments(call, signature)
        if signature is not None and not call.subgraphs and not call.omitted:
            if call.op_type == "Reshape":
                inputs |= self._static_shape(inputs, *call.outputs[0])
            types = [type for _, type in call.outputs]
            seen = Call(call.op_type, {**attributes, **inputs}, types, self.opsets[""])
            for row in self.table.for_onnx(call.op_type, call.domain):
                reading = row.onnx.read(seen) if row.onnx else None
                if reading is not None and _outputs_fit(row, len(types)):
                    return row, reading, None
        raw = OnnxRaw(omitted=call.omitted) if call.omitted else None
        if call.subgraphs:
            raw = OnnxRaw(call.subgraphs, tuple(call.captured), call.omitted)
            inputs = {**inputs, CAPTURED: tuple(call.captured.values())}
            attributes |= {k: f"#{_digest(g)}" for k, g in call.subgraphs.items()}
        return None, Reading(inputs, attributes), raw

    def _static_shape(
        self, inputs: Mapping[str, Any], output: str, type: TensorType
    ) -> dict[str, Value]:
        """The shape operand of a Reshape as a constant, though the model computes it, where all
        dimensions but one are known: the one that varies is -1."""
        shape = inputs.get("shape")
        if not isinstance(shape, Value) or shape.is_const or type.shape is None:
            return {}
        dims = [d if isinstance(d, int) else -1 for d in type.shape]
        if dims.count(-1) > 1 or 0 in dims:
            return {}
        return {"shape": self.constant(self.fresh(f"{output}_shape"), np.array(dims, np.int64))}

    def _operands(
        self, operator: Operator | None, reading: Reading, output: str
    ) -> dict[str, Value | Sequence[Value] | None]:
        """The operands as values, in the table's order, commuting ones in canonical order."""
        given = {
            slot: self.constant(self.fresh(f"{output}_{slot}"), operand)
            if isinstance(operand, np.ndarray)
            else operand
            for slot, operand in reading.operands.items()
        }
        if operator is None:
            return given
        operands = {o.name: given.get(o.name) for o in operator.operands}
        for first, second in operator.commutes:
            a, b = operands[first], operands[second]
            if isinstance(a, Value) and isinstance(b, Value) and self._place(b) < self._place(a):
                operands[first], operands[second] = b, a
        return operands

    def _place(self, value: Value) -> tuple[bool, int, str]:
        """Constants stand last, by name, and what is defined earlier stands first."""
        return (True, 0, value.name) if value.is_const else (False, self._places[value], "")


def _arguments(
    call: OnnxCall, signature: Signature | None
) -> tuple[dict[str, Any], dict[str, Attribute]]:
    """Inputs and attributes by the schema's names, what is left out filled in."""
    if signature is None:
        return {f"i{i}": value for i, value in enumerate(call.inputs)}, dict(call.attributes)
    defaults = {k: v for k, v in signature.attributes.items() if not isinstance(v, Required)}
    return _by_name(call.inputs, signature), {**defaults, **call.attributes}


def _by_name(inputs: Sequence[Value | None], signature: Signature) -> dict[str, Any]:
    named: dict[str, Any] = {}
    rest = list(inputs)
    for spec in signature.operands:
        if spec.name == CAPTURED and spec.variadic:
            continue
        if spec.variadic:
            named[spec.name], rest = tuple(v for v in rest if v is not None), []
        else:
            named[spec.name] = rest.pop(0) if rest else None
    return named | {f"i{len(named) + index}": value for index, value in enumerate(rest)}


def _outputs_fit(row: Operator, count: int) -> bool:
    return row.outputs[-1].endswith("*") or count <= len(row.outputs)


def _attributes(operator: Operator | None, reading: Reading) -> dict[str, Attribute]:
    if operator is None:
        return dict(reading.attributes)
    defaults = {k: v for k, v in operator.attributes.items() if not isinstance(v, Required)}
    return {k: reading.attributes.get(k, defaults.get(k)) for k in operator.attributes}


def _digest(graph: onnx.GraphProto) -> str:
    return hashlib.sha256(graph.SerializeToString(deterministic=True)).hexdigest()[:12]
