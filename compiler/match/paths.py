"""Whether operators of some kinds lead from a value to others: `y reaches nn.softmax`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from weakref import WeakKeyDictionary

from sparqc.ir.graph import Graph, Node, Value
from sparqc.lang.ast import ANY_OPERATOR, Path

_Known = dict[Value, bool]


class Paths:
    """Answers paths, given what says whether a node is of a family.

    What was found out stays known as long as the graph does not change, so that to ask of every
    value costs one walk.
    """

    def __init__(self, is_of_family: Callable[[Node, str], bool]) -> None:
        self._is = is_of_family
        self._known: WeakKeyDictionary[Graph, tuple[int, dict[Path, _Known]]] = WeakKeyDictionary()

    def lead(self, value: Value, graph: Graph, path: Path) -> bool:
        """Whether the path leads from the value, which is one of the graph."""
        known = self._at(graph).setdefault(path, {})
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

    def _at(self, graph: Graph) -> dict[Path, _Known]:
        version, known = self._known.get(graph, (-1, {}))
        if version != graph.version:
            known = {}
            self._known[graph] = graph.version, known
        return known

    def _ends(self, value: Value, path: Path) -> bool:
        """Whether the path ends at the value."""
        at_end = value.is_input if path.comes_from else value.is_output
        if at_end and path.end in path.kinds:
            return True
        return any(self._is_one(node, path.kinds) for node in _beside(value, path))

    def _following(self, value: Value, path: Path) -> Iterator[Value]:
        for node in _beside(value, path):
            if self._is_one(node, path.through):
                yield from node.inputs if path.comes_from else node.outputs

    def _is_one(self, node: Node, kinds: Iterable[str]) -> bool:
        return any(kind in (ANY_OPERATOR, node.op) or self._is(node, kind) for kind in kinds)


def _beside(value: Value, path: Path) -> Iterable[Node]:
    """The operators at the side of the value to which the path goes."""
    if not path.comes_from:
        return value.readers
    return () if value.producer is None else (value.producer,)
