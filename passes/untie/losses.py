"""Which branches lose by the scale that a Concat gives them, from the ranges alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparqc.passes.calibrate.calibrate import Range
from sparqc.passes.place.ties import Branch, Ties

if TYPE_CHECKING:
    from networkx.utils import UnionFind


@dataclass(frozen=True)
class _Part:
    """Values with one scale whatever is done, or what they are read by where none is rounded."""

    #: The range that they would have alone.
    amax: float
    #: How much of its signal-to-noise ratio the worst of them loses in the group.
    lost_db: float


def losses(ties: Ties, ranges: Sequence[Range]) -> dict[Branch, float]:
    """By how many dB each branch is rounded worse than with a scale of its own, where it is.

    The branches are in the order of the graph.  One that is no quieter than what the Concat gives
    is not among them: to untie it would change no scale.
    """
    apart = ties.groups(ties.branches)
    parts = _parts(ties, ranges, apart)
    found: dict[Branch, float] = {}
    for branch in ties.branches:
        own, join = parts.get(apart[branch.operands[0]]), parts.get(apart[branch.join])
        if own is not None and join is not None and own.amax < join.amax and own.lost_db > 0:
            found[branch] = own.lost_db
    return found


def _parts(ties: Ties, ranges: Sequence[Range], apart: UnionFind) -> Mapping[object, _Part]:
    found: dict[object, _Part] = {}
    for row in ranges:
        if not row.channels and row.alone:
            group = apart[row.value]
            known = found.get(group, _Part(0.0, 0.0))
            found[group] = _Part(max(known.amax, row.alone), max(known.lost_db, row.lost_db))
    # What nobody rounds is rounded in the Concats that it reaches, the quietest of which counts.
    rounded = set(found)
    for branch in reversed(ties.branches):
        group, join = apart[branch.operands[0]], found.get(apart[branch.join])
        if join is not None and group not in rounded:
            found[group] = min(found.get(group, join), join, key=lambda part: part.amax)
    return found
