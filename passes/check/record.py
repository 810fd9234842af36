"""Write into the file what sparqc made of it, so that a later check can name what was lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from sparqc.declared.knobs import knobs
from sparqc.errors import SparqcError
from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.onnx.native import OnnxNative
from sparqc.ir.quantizers import QUANTIZE, runs_in_int8
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import stored_array, weighted
from sparqc.numerics.two_four import is_two_four
from sparqc.passes.place.recorded_ties import UNTIED, untied_in, untied_text
from sparqc.passes.untie.untied import Untying
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Context

#: The keys of the file's metadata_props; most other tools hand them on.
PREFIX = "sparqc."
TARGET = PREFIX + "target"
KNOBS = PREFIX + "knobs"


@dataclass(frozen=True)
class Inventory:
    """What of a graph runs in INT8 and what is 2:4, by the names of values in the file."""

    int8: tuple[str, ...] = ()  # results of operators whose data and weight both come from a DQ
    sparse: tuple[str, ...] = ()  # results of operators whose stored weight is 2:4
    quantized: tuple[str, ...] = ()  # computed values, and inputs, that a Q reads

    def to_metadata(self) -> dict[str, str]:
        """The entries of metadata_props, each a JSON list of names."""
        return {PREFIX + key: json.dumps(names) for key, names in asdict(self).items()}


@register
@dataclass(frozen=True)
class Record(Pass):
    """List the INT8 layers, the 2:4 layers and the quantized values in the file's metadata.

    Other tools (simplifiers, optimizers, converters) run after sparqc.  `sparqc check` compares
    what they leave with this list and names what is gone.  The list holds names of the graph
    alone, so that two spellings of one model give the same list.
    """

    name = "record"
    level = "onnx"
    preserves = "exact"
    concludes = True

    def run(self, graph: Graph, context: Context) -> int:
        """Replace the entries of an earlier run; returns how many entries changed."""
        entries = {
            TARGET: context.target.name,
            **_turned(context),
            **_untied(graph, context),
            **inventory(graph, context.table).to_metadata(),
        }
        native = graph.native if isinstance(graph.native, OnnxNative) else OnnxNative()
        before = dict(native.metadata)
        changed = sum(before.get(key) != text for key, text in entries.items())
        kept = [(k, v) for k, v in native.metadata if k not in (*entries, KNOBS, UNTIED)]
        graph.native = replace(native, metadata=(*kept, *entries.items()))
        return changed


def _turned(context: Context) -> dict[str, str]:
    """The knobs that are set otherwise than by default: "attention=int8,..."; no entry for none."""
    known = knobs()
    words = [
        f"{name}={value}"
        for name, value in sorted(context.rules.knobs.items())
        if name in known and value != known[name].read(known[name].default)
    ]
    return {KNOBS: ",".join(words)} if words else {}


def _untied(graph: Graph, context: Context) -> dict[str, str]:
    """The branches of Concats with scales of their own; no entry for none."""
    rows = context.facts.get(Untying, Untying()).branches
    pairs = {*untied_in(graph), *((value, row.join) for row in rows for value in row.values)}
    return {UNTIED: untied_text(pairs)} if pairs else {}


def inventory(graph: Graph, table: OperatorTable) -> Inventory:
    """What runs in INT8 and what is 2:4 in an ONNX graph as it stands, in the graph's order."""
    names = _names(graph)
    return Inventory(
        int8=tuple(names.get(n.output, n.output.name) for n in _int8(graph, table)),
        sparse=tuple(names.get(n.output, n.output.name) for n in _sparse(graph, table)),
        quantized=tuple(dict.fromkeys(names.get(v, v.name) for v in quantized(graph, table))),
    )


def recorded(metadata: Mapping[str, str]) -> Inventory | None:
    """The inventory that the file's metadata hold, None where there is none.

    Raises SparqcError where an entry is not what `record` writes.
    """
    if not any(PREFIX + key in metadata for key in Inventory.__dataclass_fields__):
        return None
    return Inventory(**{key: _listed(metadata, key) for key in Inventory.__dataclass_fields__})


def _listed(metadata: Mapping[str, str], key: str) -> tuple[str, ...]:
    text = metadata.get(PREFIX + key, "[]")
    try:
        names = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SparqcError(f"the metadata {PREFIX + key} are no JSON: {text[:40]!r}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SparqcError(f"the metadata {PREFIX + key} are no list of names: {text[:40]!r}")
    return tuple(names)


def _names(graph: Graph) -> dict[Value, str]:
    """A value that is an output is called by the output's name in the file."""
    outputs = zip(graph.outputs, graph.output_names, strict=True)
    return {value: name for value, name in reversed(list(outputs)) if value.producer is not None}


def _int8(graph: Graph, table: OperatorTable) -> Iterator[Node]:
    """Operators with a place for a weight that run in INT8: a MatMul of activations too."""
    for node in graph.nodes:
        operator = table.get(node.op)
        multiplies = operator is not None and operator.weight is not None
        if multiplies and runs_in_int8(node):
            yield node


def _sparse(graph: Graph, table: OperatorTable) -> Iterator[Node]:
    for found in weighted(graph, table):
        stored = stored_array(found.weight, table)
        if stored is not None and is_two_four(stored, found.reduction_axis):
            yield found.node


def quantized(graph: Graph, table: OperatorTable) -> Iterator[Value]:
    """The values in front of a QuantizeLinear, weights left out."""
    for node in graph.nodes:
        if node.op == QUANTIZE:
            value = node.operands["x"]
            if isinstance(value, Value) and not is_constant(value, table):
                yield value
