"""What was taken over from another tool: its ranges, and what became of its quantizers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.passes.equalize.equalized import Equalization
from sparqc.passes.masks.pruning import Pruning
from sparqc.rewrite.context import Context

#: The method of a range that was taken over.
ADOPTED = "adopted"
_MEASURED = "weights were pruned or equalized since: all ranges of activations are measured anew"
_KEPT = "weights were pruned or equalized since, and there is no data to measure activations anew"
#: How far two ratios of sums in float32 may lie apart for one to be the other.
_SAME = 1e-4


@dataclass(frozen=True)
class Adopted:
    """The range that a quantizer of another tool gave to one value or weight."""

    value: str
    #: Who read it quantized: "conv.x".  A value that is rewritten is found by its readers.
    readers: tuple[str, ...]
    #: What the largest code stands for: one number, or one for each index of the axis.
    amax: tuple[float, ...]
    axis: int | None
    #: Module path of the quantizer, or the name of what it gave.
    origin: str
    weight: bool = False
    #: What had to be changed for symmetric INT8; "" where nothing.
    note: str = ""
    #: Of a weight of asymmetric codes: what a code is worth, for all or for each index of the axis.
    steps: tuple[float, ...] = ()
    #: Of a weight, for each channel: max|w| and sum|w|, by which a later factor is known again.
    largest: tuple[float, ...] = ()
    total: tuple[float, ...] = ()
    #: Whether the weight consists of codes times scale, so that this scale alone is exact.
    on_grid: bool = False
    #: The rules that had made what it stood on; with others since, it is not the same value.
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuantizerChange:
    """What became of one quantizer of the other tool, or why there is one more."""

    value: str
    kind: Literal["kept", "moved", "removed", "added"]
    reason: str
    #: The other tool's quantizer; "" where sparqc added one.
    origin: str = ""
    #: Where the quantizer stands now, if it was moved.
    to: str = ""


@dataclass
class Adoption:
    """Everything that `adopt` took over: the fact that it leaves."""

    quantizers: list[Adopted] = field(default_factory=list)
    #: Layers that the other tool left in float, by the value that they define.
    left_in_float: dict[str, str] = field(default_factory=dict)
    #: Values whose quantizer gave no range that INT8 can use: the quantizer and why.
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    changes: list[QuantizerChange] = field(default_factory=list)
    #: Each quantizer with the name that its value has when `place` runs; "" where it is gone.
    places: list[tuple[Adopted, str]] = field(default_factory=list)
    #: The widest quantizer of each of these values.
    by_value: dict[str, Adopted] = field(default_factory=dict)

    def settle(self, graph: Graph, context: Context) -> None:
        """Find the values again, by their names or by their readers, after other passes."""
        by_reader = {slot: value.name for value in _values(graph) for slot in slots_of(value)}
        for found in self.quantizers:
            names = [by_reader[slot] for slot in found.readers if slot in by_reader]
            own = [found.value] if _is_the_same(found, graph) else []
            # A mask may stand between a weight and its reader.
            name = next(iter([*names, *own] if found.weight else [*own, *names]), "")
            self.places.append((found, name))
            if name:
                self.take(name, found)
        if _is_changed(context):
            self.notes.append(_MEASURED if context.calibration else _KEPT)

    def take(self, name: str, found: Adopted) -> None:
        """Use a range for a value, unless a larger one is known."""
        known = self.by_value.get(name)
        if known is None or max(known.amax) < max(found.amax):
            self.by_value[name] = found

    def why_missing(self, value: str) -> str:
        """Why the quantizer that stood on a value gave no range; "" where none stood there."""
        reason = self.missing.get(value, "")
        return f" ({reason})" if reason else ""


def _is_the_same(found: Adopted, graph: Graph) -> bool:
    """Whether the value of that name is still the one that the quantizer stood on.

    A convolution that took in a factor behind it keeps its name, and gives other numbers.
    """
    if found.value not in graph:
        return False
    return found.weight or rules_of(graph.value(found.value)) == found.rules


def rules_of(value: Value) -> tuple[str, ...]:
    """The rules that made a value what it is."""
    return () if value.producer is None else value.producer.origin.rules


def _values(graph: Graph) -> Iterator[Value]:
    yield from graph.inputs
    yield from graph.constants
    for node in graph.nodes:
        yield from node.outputs


def slots_of(value: Value) -> Iterator[str]:
    """Who reads a value, as "conv.x"."""
    for node in value.readers:
        yield from (f"{node.output.name}.{slot}" for slot in node.slots_of(value))


def adoption(context: Context) -> Adoption | None:
    """What `adopt` took over; None where the model carried no quantizers."""
    return context.facts.get(Adoption)


def known_amax(values: Iterable[Value], context: Context) -> float | None:
    """The largest range that the other tool gave to any of the values of one scale group; None
    where it gave none, or where it no longer holds."""
    found = [a for value in values if (a := _range_of(value, context)) is not None]
    return max((max(a.amax) for a in found), default=None)


def to_measure(values: Iterable[Value], context: Context) -> list[Value]:
    """The values of one scale group that have to be measured: those without a range.

    Without data one range serves the whole group.  Raises SparqcError, naming the values, where
    there is no data for a group of a model whose other ranges are known.
    """
    missing = [value for value in values if _range_of(value, context) is None]
    taken = adoption(context)
    if context.calibration is not None or taken is None or not missing:
        return missing
    if known_amax(values, context) is not None:
        return []
    raise SparqcError(
        f"the tool that quantized the model gave no range to {missing[0].name!r}"
        + taken.why_missing(missing[0].name),
        hint="sparqc quantizes it all the same, so it is measured: give calibration data",
    )


def _range_of(value: Value, context: Context) -> Adopted | None:
    taken = adoption(context)
    found = taken.by_value.get(value.name) if taken else None
    return None if found is None or found.weight or is_stale(context) else found


def is_stale(context: Context) -> bool:
    """Whether weights were changed since, and there is data to measure what flows now."""
    return context.calibration is not None and _is_changed(context)


def _is_changed(context: Context) -> bool:
    pruning, equalization = context.facts.get(Pruning), context.facts.get(Equalization)
    pruned = pruning is not None and pruning.is_lossy
    return pruned or (equalization is not None and equalization.is_changed)


def known_weight_amax(
    value: Value, data: Array, axis: int | None, context: Context
) -> NDArray[np.float64] | None:
    """The range of each channel of a weight, where the other tool's scales give the same codes.

    A factor for each channel, such as that of a folded BatchNorm, goes into the range.  None where
    the weight was changed otherwise, or where one range for the whole would be all there is.
    """
    taken = adoption(context)
    found = taken.by_value.get(value.name) if taken else None
    if found is None or not found.weight or axis is None or not found.largest:
        return None
    if len(found.amax) == 1 != len(found.largest) and not found.on_grid:
        return None
    largest, total = channel_sums(data, axis)
    then = np.asarray(found.largest), np.asarray(found.total)
    if largest.shape != then[0].shape:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(then[0] > 0, largest / then[0], 1.0)
        same = np.isclose(total, factor * then[1], rtol=_SAME)
    if not same.all():
        return None
    return np.asarray(found.amax, np.float64) * factor


def channel_sums(w: Array, axis: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """max|w| and sum|w| for each channel, float64."""
    others = tuple(a for a in range(w.ndim) if a != axis % w.ndim)
    size = np.abs(w)
    return size.max(axis=others, initial=0).astype(np.float64), size.sum(
        axis=others, dtype=np.float64
    )


def left_in_float(nodes: Iterable[Node], context: Context) -> str:
    """Why operators stay in float, where the other tool left one of them there; else ""."""
    taken = adoption(context)
    if taken is None:
        return ""
    found = (taken.left_in_float.get(node.output.name, "") for node in nodes)
    return next(filter(None, found), "")
