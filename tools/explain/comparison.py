"""What differs between a predicted engine and a real one, for programs and for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sparqc.tools.engine.text import size_text

#: More differences of one kind than this are counted instead of shown.
SHOWN = 12


@dataclass(frozen=True)
class Difference:
    """One place where the engine is not what was predicted.

    `kind` is `precision` (a weighted operator), `sparse` (one that ran dense where 2:4 was expected
    to pay, or the other way round), `split` (one predicted kernel, several real ones),
    `merged` (one real kernel, several predicted ones), `types` (codes or floats read or written
    where the other was predicted) or `quantizer` (a Q or DQ that is a kernel on one side alone).
    """

    kind: str
    nodes: tuple[str, ...]
    predicted: tuple[str, ...]
    engine: tuple[str, ...]
    message: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in vars(self).items()}


@dataclass(frozen=True)
class Comparison:
    """Both engines in figures, and their differences in order of execution.

    Pairs are (predicted, engine).  A group is the operators of one kernel, Q and DQ left out; of
    predicted ones those operators count that the listing names at all.
    """

    kernels: tuple[int, int]
    int8: tuple[int, int]
    traffic: tuple[int, int]
    differences: tuple[Difference, ...]
    groups: tuple[int, int] = (0, 0)
    #: The groups that are the same on both sides.
    alike: int = 0
    #: Sparse kernels; None where nobody knows whether they were allowed.
    sparse: tuple[int, int] | None = None
    #: Q and DQ that are kernels of their own; None where the listing does not tell.
    quantizers: tuple[int, int] | None = None
    #: What could not be compared, and why.
    notes: tuple[str, ...] = ()
    #: Microseconds of all kernels of the engine, where a profile gives them.
    time: float | None = None
    #: Whether every kernel on both sides found its like, so that no difference means agreement.
    whole: bool = True

    def of_kind(self, kind: str) -> list[Difference]:
        """The differences of one kind."""
        return [d for d in self.differences if d.kind == kind]

    def to_json(self) -> dict[str, Any]:
        """Plain data; pairs are (predicted, engine)."""
        pairs = {k: getattr(self, k) for k in ("kernels", "int8", "traffic", "groups")}
        pairs |= {"sparse": self.sparse, "quantizers": self.quantizers}
        named = {k: {"predicted": p[0], "engine": p[1]} for k, p in pairs.items() if p is not None}
        return {
            **named, "groups_alike": self.alike, "microseconds": self.time, "whole": self.whole,
            "notes": list(self.notes), "differences": [d.to_json() for d in self.differences],
        }  # fmt: skip


_TITLES = {
    "precision": "in another precision",
    "sparse": "sparse or dense otherwise than expected",
    "split": "split where one kernel was predicted",
    "merged": "merged where several kernels were predicted",
    "types": "with other types in and out",
    "quantizer": "Q and DQ that are kernels on one side alone",
}


def comparison_lines(found: Comparison) -> Iterator[str]:
    """The comparison for a person."""
    yield "beside the engine           predicted  engine"
    yield f"  kernels                {found.kernels[0]:>12}  {found.kernels[1]}"
    yield f"  weighted ops in INT8   {found.int8[0]:>12}  {found.int8[1]}"
    if found.sparse is not None:
        yield f"  sparse kernels         {found.sparse[0]:>12}  {found.sparse[1]}"
    traffic = [size_text(t) for t in found.traffic]
    yield f"  activation traffic     {traffic[0]:>12}  {traffic[1]}"
    if found.quantizers is not None:
        yield f"  Q and DQ left over     {found.quantizers[0]:>12}  {found.quantizers[1]}"
    same = f"{found.alike} are the same kernels"
    yield f"  groups of operators    {found.groups[0]:>12}  {found.groups[1]}, {same}"
    if found.time is not None:
        yield f"  time of all kernels    {'':>12}  {found.time / 1e3:.3g} ms measured"
    yield from (f"  note: {note}" for note in found.notes)
    if not found.differences and found.whole:
        yield "  the engine is as predicted"
    elif not found.differences:
        yield "  what could be compared is as predicted"
    for kind, title in _TITLES.items():
        some = found.of_kind(kind)
        if some:
            yield f"{title}: {len(some)}"
        yield from (f"  {d.message}" for d in some[:SHOWN])
        if len(some) > SHOWN:
            yield f"  ... and {len(some) - SHOWN} more: --json lists all of them"
