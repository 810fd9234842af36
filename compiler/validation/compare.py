"""A graph against what its values were before a pass, operator by operator from equal inputs.

Only what the pass changed is computed again.  Each operator reads what its operands were before,
not what the new graph makes of them: nothing amplifies on its way, and the first operator that
departs is the one that is wrong.  What is new in the graph, and stands for nothing that was there,
is computed and read as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sparqc.ir.constants import constant_value
from sparqc.ir.cut_out import cut_out, read_for
from sparqc.ir.dtypes import numpy_dtype
from sparqc.ir.graph import Array, Graph, Node, TensorType, Value, dtype_name
from sparqc.ir.levels.constant_results import is_deterministic
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.quantizers import CONVERSIONS, DEQUANTIZE, QUANTIZERS
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.validation.departure import (
    CLOSE,
    CLOSE_HALF,
    LARGEST_HALF,
    Departure,
    gap,
    largest_difference,
    largest_of,
    saturated,
    shake,
)
from sparqc.validation.reference import Reference, is_tensor, signatures, tensors, unchanged

#: Types of eleven bits or fewer.
_HALVES = ("f16", "bf16")
#: So often numbers are rounded in another way, to see what that does.
SHAKES = 3
#: The old value and the one that took its place, in the order in which that happened.
Replaced = Iterable[tuple[Value, Value]]


def is_unchanged(graph: Graph, before: Reference) -> bool:
    """Whether every node stands as it stood."""
    return sum(1 for _ in unchanged(graph, before, before.arrays)) == len(graph)


def after_pass(
    graph: Graph,
    before: Reference,
    replaced: Replaced,
    sample: Sequence[Array],
    table: OperatorTable,
    *,
    places_quantizers: bool = False,
) -> tuple[Reference, list[Departure]]:
    """The reference for the graph as it is now, and the operators that depart, in order.

    `replaced` is what the pass put in the place of what; `sample` an array for each input, in the
    type that the input has now.  Of a pass that places quantizers all is compared but their
    rounding.
    """
    known = {v: a for v, a in before.arrays.items() if v.name in graph and graph.value(v.name) is v}
    stands_for = dict(before.arrays)
    for old, new in replaced:
        if old in stands_for and not new.is_const:
            stands_for.setdefault(new, stands_for[old])
            known.setdefault(new, stands_for[new])
    placed = _placed(graph, before) if places_quantizers else {}
    known |= {v: known[real] for v, real in placed.items() if real in known}
    known |= dict(zip(graph.inputs, sample, strict=True))
    same = {*unchanged(graph, before, known, placed)}
    same |= {v.producer for v in placed if v.producer is not None}
    for value, real in placed.items():  # what an operator reads that is computed again
        if value not in known and not same.issuperset(value.readers):
            array = constant_value(real, table)
            known |= {} if array is None else {value: array}
    return _compare(graph, before, known, same, sample, table)


def _placed(graph: Graph, before: Reference) -> dict[Value, Value]:
    """What new quantizers give -> what it shall be but for its rounding: what they read."""
    found: dict[Value, Value] = {}
    for node in graph.nodes:
        x = node.operands.get("x")
        if node in before.nodes or node.op not in QUANTIZERS or not isinstance(x, Value):
            continue
        if node.op == DEQUANTIZE and x not in found:
            continue  # the codes were there before, and so was their rounding
        found[node.output] = found.get(x, x)
    return found


def after_export(
    graph: Graph,
    before: Reference,
    became: Mapping[Value, Value],
    sample: Sequence[Array],
    table: OperatorTable,
    *,
    excuses: bool = True,
) -> tuple[Reference, list[Departure]]:
    """The same behind a pass that gave another graph.

    `became` has for old values those of the new graph that they became.  Without `excuses`
    operators depart too whose numbers cancel, so that nothing but rounding is left.
    """
    known = {new: before.arrays[old] for old, new in became.items() if old in before.arrays}
    reference, departures = _compare(graph, before, known, set(), sample, table, excuses)
    makers = {
        new.producer: old.producer
        for old, new in became.items()
        if old.producer is not None and old.producer.graph.level != graph.level
    }
    return reference, [replace(d, was=makers.get(d.node)) for d in departures]


def _compare(
    graph: Graph,
    before: Reference,
    known: dict[Value, Array],
    same: set[Node],
    sample: Sequence[Array],
    table: OperatorTable,
    excuses: bool = True,
) -> tuple[Reference, list[Departure]]:
    known |= dict(zip(graph.inputs, sample, strict=True))
    for value, array in zip(graph.outputs, before.outputs, strict=True):
        if not value.is_const:
            known.setdefault(value, array)
    rounded = {v for v, a in known.items() if dtype_name(a.dtype) in _HALVES and not _is_half(v)}
    known = {v: fitting for v, a in known.items() if (fitting := _as_type(a, v)) is not None}
    looked_at = set(tensors(graph, table))
    changed = [n for n in graph.nodes if n not in same and not looked_at.isdisjoint(n.outputs)]
    computed = _computed(graph, [v for n in changed for v in n.outputs], known, table)
    departures, compared = [], 0
    halves = _halves(graph, known, rounded)
    for node in changed:
        rounds = node.op in QUANTIZERS
        half = node in halves
        gaps = [
            gap(known[v], computed[v], rounds=rounds, half=half)
            for v in node.outputs
            if v in known and v in computed and is_deterministic(node)
        ]
        compared += bool(gaps)
        if any(gaps):
            departures.append(Departure(node, max(gaps)))
    departures = [
        d
        for d in departures
        if not excuses
        or not _is_rounding(
            d.node, graph, known, computed, table, CLOSE_HALF if d.node in halves else CLOSE
        )
    ]
    arrays = {v: a for v, a in {**computed, **known}.items() if v.is_input or v in looked_at}
    return Reference(arrays, before.outputs, signatures(graph, arrays), compared), departures


def _is_rounding(
    node: Node,
    graph: Graph,
    known: Mapping[Value, Array],
    computed: Mapping[Value, Array],
    table: OperatorTable,
    close: float,
) -> bool:
    """Whether an operator departs by no more than it does by itself where what it reads is rounded
    in another way: a sum of numbers that cancel keeps nothing but their rounding.  Numbers as large
    as what it reads may be off by `close`."""
    gives = [v for v in node.outputs if v in known and v in computed]
    reads = [*read_for(gives, known.keys())]
    floats = [v for v in reads if known[v].dtype.kind == "f"]
    largest = max((largest_of(known[v]) for v in floats), default=0.0)
    off = [largest_difference(known[v], computed[v]) for v in gives]
    if max(off) > close * largest:
        return False
    noise = [0.0] * len(gives)
    for seed in range(SHAKES):
        given = {**known, **{v: shake(known[v], seed) for v in floats}}
        shaken = _computed(graph, gives, given, table)
        noise = [
            max(n, largest_difference(shaken[v], computed[v]))
            for v, n in zip(gives, noise, strict=True)
        ]
    return all(o <= n for o, n in zip(off, noise, strict=True))


def _halves(graph: Graph, known: Mapping[Value, Array], rounded: Collection[Value]) -> set[Node]:
    """The operators that compute in FP16 or BF16, or from what did so and is computed with them,
    and those that did before: `rounded` are what these gave.

    Where there is one, all quantizers count: their scales are rounded alike, whatever their type.
    """
    found = {n for n in graph.nodes if any(_is_half(v) for v in (*n.inputs, *n.outputs))}
    found.update(v.producer for v in rounded if v.producer is not None)
    if found:
        found.update(n for n in graph.nodes if n.op in CONVERSIONS)
        for node in graph.nodes:
            if any(v.producer in found for v in node.inputs if v not in known):
                found.add(node)
    return found


def _is_half(value: Value) -> bool:
    return value.type.dtype in _HALVES


def _as_type(array: Array, value: Value) -> Array | None:
    """An array in the type that its value has now: another float, where a pass changed it.

    None where floats became codes, or the other way round: these are other numbers.
    """
    wanted = numpy_dtype(value.type.dtype)
    if wanted is None or wanted == array.dtype:
        return array
    if not {wanted.kind, array.dtype.kind} <= {"f", "V"}:
        return None
    return (saturated(array, LARGEST_HALF) if wanted == np.float16 else array).astype(wanted)


def _computed(
    graph: Graph, values: Iterable[Value], known: Mapping[Value, Array], table: OperatorTable
) -> dict[Value, Array]:
    """What the nodes behind some values give where each reads known arrays."""
    gives = [v for v in values if is_tensor(v)]
    if not gives:
        return {}
    reads = read_for(gives, known.keys())
    part = cut_out(graph, reads, gives)
    _forget_sizes(part)
    # Its weights go at once: a graph that keeps its runner waits for the garbage collector.
    results, _ = open_runner(part, table, shared=False).run([known[v] for v in reads])
    return dict(zip(gives, results, strict=True))


def _forget_sizes(part: Graph) -> None:
    """Let images have any size: the sample may be a part of those that the graph was made for."""
    for index, value in enumerate([*part.inputs, *(v for n in part.nodes for v in n.outputs)]):
        shape = value.type.shape
        if shape is not None and len(shape) == 4:
            sizes = (f"height_{index}", f"width_{index}")
            value.type = TensorType(value.type.dtype, (*shape[:2], *sizes))
