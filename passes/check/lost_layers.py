"""What a tool that ran after sparqc took away: the file against the record in its metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph
from sparqc.ir.onnx.native import OnnxNative
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.passes.check.check import Finding, Grade
from sparqc.passes.check.record import Inventory, inventory, quantized, recorded

SOURCE = "tensorrt.md §6"
CURE = "build the file that sparqc wrote, or run the other tool before sparqc; see docs/survival.md"
#: What of an inventory -> the id of its loss, the grade, what sparqc did, and how it is now.
_LOSSES: Mapping[str, tuple[str, Grade, str, str]] = {
    "int8": (
        "int8-lost",
        "error",
        "sparqc quantized the layer {}",
        "its operands no longer come straight from INT8 codes",
    ),
    "sparse": ("sparse-lost", "error", "sparqc made the weight of {} 2:4", "it no longer is"),
    "quantized": ("quantizer-lost", "slow", "sparqc quantized the value {}", "it is float now"),
}
_ABSENT = "nothing of that kind in the graph has that name now"


def lost_layers(graph: Graph, table: OperatorTable) -> Iterator[Finding]:
    """Compare the graph with what the pass `record` wrote into its metadata.

    Names that other tools changed are no loss as long as as many layers came in their place.
    Nothing is found in a file without the record: nobody knows what it was.
    """
    metadata = dict(graph.native.metadata) if isinstance(graph.native, OnnxNative) else {}
    try:
        before = recorded(metadata)
    except SparqcError as error:
        yield Finding("record-unreadable", "note", (), str(error), CURE, SOURCE)
        return
    if before is not None:
        now = replace(inventory(graph, table), quantized=tuple(_quantized(graph, table)))
        yield from _compared(before, now, _present(graph, table))


def _compared(
    before: Inventory, now: Inventory, present: Mapping[str, set[str]]
) -> Iterator[Finding]:
    for key, (id, grade, did, state) in _LOSSES.items():
        for name in _missing(getattr(before, key), getattr(now, key), present[key]):
            message = f"{did.format(name)}; {state if name in present[key] else _ABSENT}"
            yield Finding(id, grade, (name,), message, CURE, SOURCE)


def _quantized(graph: Graph, table: OperatorTable) -> Iterator[str]:
    """The names of quantized values; what a converter of types put a Cast behind is one still."""
    for value in quantized(graph, table):
        yield value.name
        while (node := value.producer) is not None and table.has(node.op, "converts"):
            value = next(node.inputs)
            yield value.name


def _missing(before: Iterable[str], now: Iterable[str], present: set[str]) -> list[str]:
    """The names of `before` that have no counterpart in `now`, in their order.

    A name that is still in the graph was lost.  One that is gone may have been renamed: as many
    new names as there are stand for them.
    """
    left = set(now)
    gone = [name for name in before if name not in left]
    renamed = len(left.difference(before))
    absent = [name for name in gone if name not in present]
    forgiven = set(absent if renamed >= len(absent) else ())
    return [name for name in gone if name not in forgiven]


def _present(graph: Graph, table: OperatorTable) -> dict[str, set[str]]:
    """What of an inventory -> the names that still stand for something of that kind.

    A layer whose name went to the Cast behind it was renamed.
    """
    values = {v.name for n in graph.nodes for v in n.outputs} | {v.name for v in graph.inputs}
    rows = ((n, table.get(n.op)) for n in graph.nodes)
    layers = {n.output.name for n, row in rows if row is not None and row.weight is not None}
    return {"int8": layers, "sparse": layers, "quantized": values}
