"""The differences between two outlines, in groups of what belongs together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sparqc.base.union_find import union_find
from sparqc.ir.graph import Array
from sparqc.pipeline.decisions.outline import (
    Operator,
    Outline,
    Read,
    same_array,
    same_attributes,
)

if TYPE_CHECKING:
    from networkx.utils import UnionFind

#: Stands in the place of a node for the outputs of the graph, whose slots are their positions.
ENDS = ""

_Item = tuple[str, ...]


@dataclass(frozen=True)
class Rewired:
    """A slot of an operator (or an output of the graph, for ENDS) that reads something else."""

    node: str
    slot: str
    before: Read
    after: Read


@dataclass
class Change:
    """Differences that hang together: one decision of a pass."""

    rewired: list[Rewired] = field(default_factory=list)
    #: Constants that kept their name and have other numbers: those that they had, and have.
    constants: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    #: Operators that kept their name and are others, or have other attributes.
    altered: list[str] = field(default_factory=list)

    @property
    def what(self) -> str:
        """One word for it: "set", "insert", "replace", "remove", "rewire" or "alter"."""
        if self.added and self.removed:
            return "replace"
        if self.added or self.removed:
            return "insert" if self.added else "remove"
        if self.altered:
            return "alter"
        return "rewire" if self.rewired else "set"

    @property
    def subject(self) -> str:
        """The name of what it is about: what operators were put behind, or what became another."""
        if self.rewired and not self.removed:
            before = self.rewired[0].before
            name = before if isinstance(before, str) else next(iter(before or ()), "")
            if name:
                return name
        names = [*self.removed, *self.altered, *self.constants, *self.added]
        return names[0] if names else self.rewired[0].node


def changes(before: Outline, after: Outline) -> list[Change]:
    """The differences in the order of the nodes afterwards.

    Operators that were put in hang together with the slots that read them, and with constants that
    they read; constants that have other numbers with those that reach the same operator.
    """
    return list(_Comparison(before, after).run())


class _Comparison:
    def __init__(self, before: Outline, after: Outline) -> None:
        self.before, self.after = before, after
        self.added = (after.nodes.keys() | after.constants.keys()) - (
            before.nodes.keys() | before.constants.keys()
        )
        self.removed = (before.nodes.keys() | before.constants.keys()) - (
            after.nodes.keys() | after.constants.keys()
        )
        self.set = {
            name: (before.constants[name], new)
            for name, new in after.constants.items()
            if name in before.constants and not same_array(before.constants[name], new)
        }
        self.altered = [
            name
            for name, node in after.nodes.items()
            if (old := before.nodes.get(name)) is not None
            and (old.op != node.op or not same_attributes(old.attributes, node.attributes))
        ]
        self.rewired = [*self._rewired(), *self._ends()]
        self.groups: UnionFind = union_find()

    def run(self) -> Iterator[Change]:
        self._join()
        found: dict[_Item, Change] = {}

        def group(*item: str) -> Change:
            return found.setdefault(self.groups[item], Change())

        inputs = dict.fromkeys(n for node in self.after.nodes.values() for n in node.reads)
        order = {name: i for i, name in enumerate([*inputs, *self.after.nodes])}
        for name in sorted(self.added, key=lambda n: order.get(n, len(order))):
            group("name", name).added.append(name)
        for rewired in self.rewired:
            group("slot", rewired.node, rewired.slot).rewired.append(rewired)
        for name, pair in self.set.items():
            group("name", name).constants[name] = pair
        for name in self.altered:
            group("name", name).altered.append(name)
        for name in [*self.before.nodes, *self.before.constants]:
            if name in self.removed:
                group("name", name).removed.append(name)
        last = len(order)

        def place(change: Change) -> int:
            names = [r.node for r in change.rewired if r.node]
            names += [*change.altered, *change.constants, *change.added]
            return min((order.get(name, last) for name in names), default=last)

        yield from sorted(found.values(), key=place)

    def _join(self) -> None:
        known = self.added | self.set.keys()
        for name in self.added:
            if name in self.after.nodes:
                for read in known.intersection(self.after.nodes[name].reads):
                    self.groups.union(("name", name), ("name", read))
        for name in self.removed:
            if name in self.before.nodes:
                for read in self.removed.intersection(self.before.nodes[name].reads):
                    self.groups.union(("name", name), ("name", read))
        for rewired in self.rewired:
            slot = ("slot", rewired.node, rewired.slot)
            touched = [n for n in _names(rewired.after) if n in self.added]
            touched += [n for n in _names(rewired.before) if n in self.removed]
            for name in touched:
                self.groups.union(slot, ("name", name))
        if self.set:
            self._join_constants()
        for name in self.altered:  # what reads something else and has other attributes is one
            for rewired in self.rewired:
                if rewired.node == name:
                    self.groups.union(("name", name), ("slot", name, rewired.slot))

    def _join_constants(self) -> None:
        """Constants that other numbers were set in are one change where they reach one operator
        through constants alone: a weight, its scale and the bias."""
        below: dict[str, set[str]] = {
            name: {name} & self.set.keys() for name in self.after.constants
        }
        for name, node in self.after.nodes.items():
            found = set().union(*(below.get(read, ()) for read in node.reads))
            if node.reads and all(read in below for read in node.reads):
                below.update(dict.fromkeys((name, *node.outputs), found))
            elif len(found) > 1:
                self.groups.union(*(("name", constant) for constant in sorted(found)))

    def _rewired(self) -> Iterator[Rewired]:
        for name, node in self.after.nodes.items():
            old = self.before.nodes.get(name)
            if old is None or old.operands == node.operands:
                continue
            for slot in {**old.operands, **node.operands}:
                pair = old.operands.get(slot), node.operands.get(slot)
                if pair[0] != pair[1]:
                    yield Rewired(name, slot, *pair)

    def _ends(self) -> Iterator[Rewired]:
        if len(self.before.outputs) == len(self.after.outputs):
            for index, pair in enumerate(zip(self.before.outputs, self.after.outputs, strict=True)):
                if pair[0] != pair[1]:
                    yield Rewired(ENDS, str(index), *pair)


def _names(read: Read) -> Iterable[str]:
    return () if read is None else (read,) if isinstance(read, str) else read


def readers_of(outline: Outline, names: Iterable[str]) -> Mapping[str, Operator]:
    """The nodes that read one of the names."""
    wanted = set(names)
    return {name: node for name, node in outline.nodes.items() if wanted.intersection(node.reads)}
