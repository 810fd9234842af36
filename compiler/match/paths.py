"""Whether operators of some kinds lead from a value to others: `y reaches nn.softmax`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from weakref import WeakKeyDictionary

from sparqc.ir.graph import Graph, Node, Value
from sparqc.lang.ast import ANY_OPERATOR, Path

_Known = dict[Value, bool]
#: What a path looks for, and how; not where it begins.
_Way = tuple[tuple[str, ...], tuple[str, ...], bool, bool]


class Paths:
    """Answers paths, given what says whether a value is constant, whether a node is of a family,
    and what a family at a node reads, which is None where the node is not of it.

    What was found out stays known as long as the graph does not change, so that to ask of every
    value costs one walk.
    """

    def __init__(
        self,
        is_constant: Callable[[Value], bool],
        is_of_family: Callable[[Node, str], bool],
        family_reads: Callable[[Node, str], Collection[Value] | None],
    ) -> None:
        self._is_constant, self._is, self._reads = is_constant, is_of_family, family_reads
        self._known: WeakKeyDictionary[Graph, tuple[int, dict[_Way, _Known]]] = WeakKeyDictionary()

    def lead(self, value: Value, graph: Graph, path: Path) -> bool:
        """Whether the path leads from the value, which is one of the graph."""
        way = (path.kinds, path.through, path.comes_from, path.only)
        known = self._at(graph).setdefault(way, {})
        stack = [value]
        while stack:
            top = stack[-1]
            if top in known:
                stack.pop()
                continue
            ways = self._ways(top, path)
            ends = [way if isinstance(way, bool) else known.get(way) for way in ways]
            if (decisive := not path.only) in ends:
                known[top] = decisive
            elif None in ends:
                stack += [way for way in ways[ends.index(None) :][:1] if isinstance(way, Value)]
            else:
                known[top] = path.only
        return known[value]

    def _at(self, graph: Graph) -> dict[_Way, _Known]:
        version, known = self._known.get(graph, (-1, {}))
        if version != graph.version:
            known = {}
            self._known[graph] = graph.version, known
        return known

    def _ways(self, value: Value, path: Path) -> list[bool | Value]:
        """Where each way on from a value leads: to an end of the path, to none, or to another
        value."""
        ends = set(path.ends).intersection(path.kinds)
        if path.comes_from and any(self._is_at(end, value) for end in ends):
            return [True]
        kinds = [kind for kind in path.kinds if kind not in ends]
        ways: list[bool | Value] = [bool(ends)] if value.is_output and not path.comes_from else []
        for node in _beside(value, path):
            if any(kind == node.op or self._meets(node, kind, value, path) for kind in kinds):
                ways.append(True)
            else:
                ways += list(self._following(node, value, path)) or [False]
        return ways or [False]

    def _meets(self, node: Node, kind: str, value: Value, path: Path) -> bool:
        """Whether a node is of a family, and reads the value as one of its parameters."""
        if path.comes_from:
            return self._is(node, kind)
        return value in (self._reads(node, kind) or ())

    def _is_at(self, end: str, value: Value) -> bool:
        if end == "const":
            return self._is_constant(value)
        return value.is_input if end == "input" else value.is_output

    def _following(self, node: Node, value: Value, path: Path) -> Iterator[Value]:
        """The values to which a path goes on through a node, those that nobody reads left out."""
        read = self._read_in_between(node, path.through)
        if path.comes_from:
            yield from read
        elif value in read:
            yield from (v for v in node.outputs if v.readers or v.is_output)

    def _read_in_between(self, node: Node, kinds: Collection[str]) -> Collection[Value]:
        """The values by which a path of these kinds goes through a node."""
        if ANY_OPERATOR in kinds or node.op in kinds:
            return tuple(node.inputs)
        known = (self._reads(node, kind) for kind in kinds)
        return tuple(value for read in known if read is not None for value in read)


def _beside(value: Value, path: Path) -> Iterable[Node]:
    """The operators at the side of the value to which the path goes."""
    if not path.comes_from:
        return value.readers
    return () if value.producer is None else (value.producer,)
