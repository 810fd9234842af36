"""The part of a graph behind some of its values, ready to run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sparqc.ir.fx.native import FxNative
from sparqc.ir.graph import Array, Graph, Node
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.vocabulary.table import OperatorTable

#: Values of these types are no tensors: they are computed again rather than kept.
_NO_TENSORS = {"sym", "list", "?"}


def computed(nodes: Sequence[Node]) -> frozenset[str]:
    """The tensors that some nodes give."""
    return frozenset(
        v.name for node in nodes for v in node.outputs if v.type.dtype not in _NO_TENSORS
    )


class Behind:
    """What is left of a graph once the values `known` are there.

    `wanted` are the values to compute, without it the graph's outputs.  `inputs` names what
    has to be known, graph inputs included.  A value that is computed here is the one that
    the whole graph gives, to the bit: the same operators run on the same arrays.
    """

    def __init__(
        self,
        graph: Graph,
        known: Collection[str],
        table: OperatorTable,
        wanted: Sequence[str] | None = None,
    ) -> None:
        self._wanted = wanted if wanted is not None else [v.name for v in graph.outputs]
        self._part = _part(graph, known, self._wanted)
        self._given = {v.name for v in self._part.outputs}
        passed = [n for n in self._wanted if n not in self._given]
        self.inputs = tuple(dict.fromkeys([*(v.name for v in self._part.inputs), *passed]))
        self._table = table
        self._runner = open_runner(self._part, table) if self._given else None

    def run(self, known: Mapping[str, Array]) -> list[Array]:
        """The wanted values; `known` holds at least the `inputs`.

        Raises SparqcError where an operator fails.
        """
        found = dict(known)
        if self._runner is not None:
            outputs, _ = self._runner.run([known[v.name] for v in self._part.inputs])
            found |= zip((v.name for v in self._part.outputs), outputs, strict=True)
        return [found[name] for name in self._wanted]


def _part(graph: Graph, known: Collection[str], wanted: Sequence[str]) -> Graph:
    """A copy that reads the known values as inputs, and gives the wanted ones that are not."""
    copy = graph.clone()
    computed = [n for n in dict.fromkeys(wanted) if n not in known and copy.value(n).producer]
    copy.set_outputs([copy.value(name) for name in computed])
    for name in sorted(known):
        if name in copy and (value := copy.value(name)).producer is not None:
            copy.rename(value, copy.fresh(f"{name}.before"))
            copy.replace(value, copy.add_input(name, value.type))
    copy.drop_dead()
    copy.inputs = [v for v in copy.inputs if v.readers]
    if isinstance(copy.native, FxNative):
        copy.native = replace(copy.native, placeholders=(), output=None, pytree=None)
    return copy
