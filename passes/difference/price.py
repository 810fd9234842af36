"""What each difference costs: the engine as it is against the one that the plan gives.

Kernels of the two engines that hold the same operators are held against each other; a Q that is a
kernel of its own counts with what it reads from, a DQ with what reads it.  What they differ by
belongs to the differences at their operators: those whose reader is in them, else those whose value
they give; several share it.  So the prices together are never more than the whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparqc.base.union_find import union_find
from sparqc.declared.gpus import Gpu
from sparqc.passes.difference.difference import Difference
from sparqc.predict.built_types import as_built
from sparqc.predict.engine import PredictedEngine, PredictedKernel
from sparqc.predict.kernel_time import kernel_seconds

if TYPE_CHECKING:
    from networkx.utils import UnionFind


@dataclass(frozen=True)
class Price:
    """Seconds of one batch, and bytes of activations, that a difference costs; below 0 it gains."""

    seconds: float
    bytes: float
    #: The seconds as a share of the engine's.
    share: float


def prices(
    differences: Sequence[Difference], now: PredictedEngine, then: PredictedEngine, gpu: Gpu
) -> list[Price | None]:
    """The price of each difference on a GPU; None for all where sizes are not known."""
    if now.unsized_tensors or then.unsized_tensors:
        return [None] * len(differences)
    now, then = as_built(now), as_built(then)
    parts, places = _parts(now, then)
    whole = sum(kernel_seconds(k, gpu) for k in now.kernels)
    seconds, traffic = defaultdict[object, float](float), defaultdict[object, float](float)
    for engine, sign in ((now, 1), (then, -1)):
        for kernel in engine.kernels:
            part = parts[places[_place(kernel, places)]]
            seconds[part] += sign * kernel_seconds(kernel, gpu)
            traffic[part] += sign * (kernel.bytes_read + kernel.bytes_written)
    found: list[Price | None] = []
    for own in _owners(differences, parts, places):
        time = sum(seconds[p] / share for p, share in own.items())
        moved = sum(traffic[p] / share for p, share in own.items())
        found.append(Price(time, moved, time / whole if whole else 0.0))
    return found


def _parts(now: PredictedEngine, then: PredictedEngine) -> tuple[UnionFind, dict[str, str]]:
    """The operators, by their values, joined where a kernel of either engine holds both; and the
    operator to which each value belongs: a conversion's to what gave it its values."""
    parts = union_find()
    places: dict[str, str] = {}
    for engine in (now, then):
        for kernel in engine.kernels:
            values = _values(kernel)
            if values:
                parts.union(*values)
                places.update(dict.fromkeys(values, values[0]))
                places.update((t.name, values[0]) for t in kernel.outputs)
    for engine in (now, then):
        for kernel in engine.kernels:
            values = _values(kernel)
            for tensor in kernel.inputs:  # of an input, and of what a DQ gives: its reader
                places.setdefault(tensor.name, values[0] if values else tensor.name)
    return parts, places


def _values(kernel: PredictedKernel) -> list[str]:
    """The values of its operators, those of conversions left out."""
    pairs = zip(kernel.values, kernel.operators, strict=False)
    return [value for value, op in pairs if not op.startswith("q.")]


def _place(kernel: PredictedKernel, places: Mapping[str, str]) -> str:
    """A value by which a kernel is found."""
    if values := _values(kernel):
        return values[0]
    tensors = kernel.outputs if kernel.converts == "DQ" else kernel.inputs
    names = [t.name for t in (*tensors, *kernel.inputs, *kernel.outputs)]
    return next(name for name in names if name in places)


def _owners(
    differences: Sequence[Difference], parts: UnionFind, places: Mapping[str, str]
) -> Iterator[dict[object, int]]:
    """For each difference its parts, each with how many differences it is shared by."""
    readers = [_part(d.reader, parts, places) for d in differences]
    givers = [_part(d.value, parts, places) for d in differences]
    taken = set(readers)
    own = [[r, *([] if g in taken else [g])] for r, g in zip(readers, givers, strict=True)]
    count = defaultdict[object, int](int)
    for found in own:
        for part in dict.fromkeys(found):
            count[part] += 1
    for found in own:
        yield {part: count[part] for part in dict.fromkeys(found)}


def _part(value: str, parts: UnionFind, places: Mapping[str, str]) -> object:
    return parts[places.get(value, value)]
