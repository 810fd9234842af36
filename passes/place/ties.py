"""Between which values a scale passes, and where a Concat could do without."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparqc.base.union_find import union_find
from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Value
from sparqc.passes.place.decide import Decider, Decision
from sparqc.passes.place.insert_quantizers import Slot
from sparqc.passes.place.recorded_ties import untied_in

if TYPE_CHECKING:
    from networkx.utils import UnionFind


@dataclass(frozen=True)
class Branch:
    """What reaches a Concat over one road, by the names of values.

    It has the scale of the Concat only so that the Concat need not round it once more.
    """

    #: What the Concat gives.
    join: str
    #: The operands of the Concat that it stands in: several where they have one scale anyway.
    operands: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.operands[0]} in {self.join}"


@dataclass(frozen=True)
class Ties:
    """The fact that `place` leaves of which values have one scale, by their names."""

    #: Those that have one whatever is done.
    fixed: tuple[tuple[str, ...], ...] = ()
    #: In the order of the graph.
    branches: tuple[Branch, ...] = ()

    def groups(self, untied: Collection[Branch] = ()) -> UnionFind:
        """Which values have one scale where these branches have none in common with the Concat."""
        found: UnionFind = union_find()
        for names in self.fixed:
            found.union(*names)
        for branch in self.branches:
            found.union(*branch.operands)
            if branch not in untied:
                found.union(branch.join, branch.operands[0])
        return found


def ties(
    decider: Decider,
    slots: dict[Value, dict[Slot, Decision]],
    whole: Collection[Value],
) -> Ties:
    """The ties of a placement: of moved INT8 codes, and of operands that want one scale.

    Constants are no branches, nor are the values of `whole`, which all readers take as codes.
    """
    wanted, table = decider.wanted(slots), decider.context.table
    untied = untied_in(decider.graph)  # for good
    moving = [m for node, m in decider.movements.items() if decider.moves(node, wanted)]
    fixed = [_names(tie.inputs) for tie in decider.ties if all(v in slots for v in tie.inputs)]
    joins: list[tuple[str, list[str]]] = []
    for movement in moving:
        inputs = dict.fromkeys(movement.inputs)
        inputs = {v: None for v in inputs if (v.name, movement.outputs[0].name) not in untied}
        roads = [v for v in inputs if v not in whole and not is_constant(v, table)]
        if len(inputs) < 2 or len(movement.outputs) > 1:
            fixed.append(_names((*movement.inputs, *movement.outputs)))
            continue
        joins.append((movement.outputs[0].name, [v.name for v in roads]))
        fixed.append(_names((*movement.outputs, *(v for v in inputs if v not in roads))))
    apart = Ties(tuple(fixed)).groups()
    branches: dict[tuple[str, object], list[str]] = {}
    for join, names in joins:
        for name in names:
            branches.setdefault((join, apart[name]), []).append(name)
    found = (Branch(join, tuple(names)) for (join, _), names in branches.items())
    return Ties(tuple(fixed), tuple(found))


def _names(values: Iterable[Value]) -> tuple[str, ...]:
    return tuple(value.name for value in values)
