"""Whether operators of some kinds lead from a value to others: `y reaches nn.softmax`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from weakref import WeakKeyDictionary

from sparqc.ir.graph import Graph, Node, Value
from sparqc.lang.ast import ANY_OPERATOR, Path

_Known = dict[Value, bool]
#: What a path looks for, and how; not where it begins.
_Way = tuple[tuple[str, ...], tuple[str, ...], bool]


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
        known = self._at(graph).setdefault((path.kinds, path.through, path.comes_from), {})
        stack = [value]
        while stack:
            top = stack[-1]
            if top in known or self._ends(top, path):
                known.setdefault(top, True)
                stack.pop()
                continue
            following = list(self._following(top, path))
            if any(known.get(v) for v in following):
                known[top] = True
            elif missing := [v for v in following if v not in known]:
                stack.append(missing[0])
            else:
                known[top] = False
        return known[value]

    def _at(self, graph: Graph) -> dict[_Way, _Known]:
        version, known = self._known.get(graph, (-1, {}))
        if version != graph.version:
            known = {}
            self._known[graph] = graph.version, known
        return known

    def _ends(self, value: Value, path: Path) -> bool:
        """Whether the path ends at the value."""
        ends = set(path.ends).intersection(path.kinds)
        if any(self._is_at(end, value) for end in ends):
            return True
        kinds = [kind for kind in path.kinds if kind not in ends]
        return any(
            kind == n.op or self._is(n, kind) for n in _beside(value, path) for kind in kinds
        )

    def _is_at(self, end: str, value: Value) -> bool:
        if end == "const":
            return self._is_constant(value)
        return value.is_input if end == "input" else value.is_output

    def _following(self, value: Value, path: Path) -> Iterator[Value]:
        for node in _beside(value, path):
            read = self._read_in_between(node, path.through)
            if path.comes_from:
                yield from read
            elif value in read:
                yield from node.outputs

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
