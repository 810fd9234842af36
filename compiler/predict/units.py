"""The kernels of a Q/DQ graph: fusions, data movement, and the Q and DQ that stay behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from heapq import heapify, heappop, heappush

from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.quantizers import DEQUANTIZE, QUANTIZE
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.lang.ast import FusionDecl
from sparqc.predict.codes import Flow, common_scale
from sparqc.predict.cover import Choice, KernelCover

#: Operators that read the sizes of a tensor, not its elements.
SIZES = frozenset({"onnx.Shape", "onnx.Size", "sym.size"})

#: A tensor in memory: the value, and the scale of its codes where it is stored in INT8.
Stored = tuple[Value, float | None]


@dataclass(eq=False)
class Unit:
    """One kernel in the making."""

    kind: str
    nodes: list[Node]
    reads: dict[Stored, None] = field(default_factory=dict)
    writes: dict[Stored, None] = field(default_factory=dict)
    fusion: FusionDecl | None = None
    choices: list[Choice] = field(default_factory=list)

    @property
    def int8(self) -> bool:
        """Whether it computes on codes: what it multiplies or, without products, what it reads."""
        return any(c.int8 for c in self.choices)


@dataclass(frozen=True)
class Unrun:
    """Operators that are no kernels."""

    #: Constant before the network runs.
    folded: Set[Node]
    #: Arithmetic on sizes, which the host does.
    host: Set[Node]

    @cached_property
    def nodes(self) -> Set[Node]:
        """Both."""
        return self.folded | self.host


def unrun(graph: Graph) -> Unrun:
    """The operators that only constants, or only sizes, go into."""
    folded: set[Node] = set()
    host: set[Node] = set()
    for node in graph.nodes:
        sources = list(node.inputs)
        if _all_known(sources, folded) and not _has_subgraphs(node):
            folded.add(node)
        elif node.op in SIZES or (_is_small(node) and _all_known(sources, folded, host)):
            host.add(node)
    return Unrun(folded, host)


def _is_small(node: Node) -> bool:
    """Whether it gives a list of numbers at most, as arithmetic on sizes does."""
    return bool(node.outputs) and (node.output.type.rank or 0) < 2


def _all_known(values: Sequence[Value], *known: Set[Node]) -> bool:
    return bool(values) and all(v.is_const or any(v.producer in s for s in known) for v in values)


def _has_subgraphs(node: Node) -> bool:
    return node.raw is not None and bool(getattr(node.raw, "subgraphs", None))


class Units:
    """Builds the kernels of one graph; `found` holds them in the order of execution."""

    def __init__(
        self, graph: Graph, table: OperatorTable, codes: Flow, cover: KernelCover, skipped: Unrun
    ) -> None:
        self.graph, self.table, self.flow, self.cover = graph, table, codes, cover
        self.skipped = skipped.nodes
        self.place = {node: index for index, node in enumerate(graph.nodes)}
        self.scales = codes.scales
        self.moved = self._movement_scales()
        self.writer: dict[Stored, Unit] = {}
        self.found: list[Unit] = []
        self._build()

    def _build(self) -> None:
        for choice in self.cover.choices:
            self._add(self._of_choice(choice))
        for node in self.place:
            if self._is_kernel(node):
                self._add(self._alone(node))
        self._convert()
        self._assign_quantizers()
        for unit in self.found:
            unit.nodes.sort(key=self.place.__getitem__)
        self.found = list(self._ordered())

    def _ordered(self) -> Iterator[Unit]:
        """The kernels in an order in which they can run, as near to the graph's as that allows."""
        place = {unit: (self.place[unit.nodes[-1]], i)
                 for i, unit in enumerate(self.found)}  # fmt: skip
        behind: dict[Unit, list[Unit]] = {}
        waiting: dict[Unit, int] = {}
        for unit in self.found:
            before = {self.writer[t] for t in unit.reads if t in self.writer} - {unit}
            waiting[unit] = len(before)
            for other in before:
                behind.setdefault(other, []).append(unit)
        ready = [(place[unit], unit) for unit, count in waiting.items() if not count]
        heapify(ready)
        while ready:
            _, unit = heappop(ready)
            yield unit
            for other in behind.get(unit, ()):
                waiting[other] -= 1
                if not waiting[other]:
                    heappush(ready, (place[other], other))

    # -- tensors in memory -----------------------------------------------------------------------

    def stored(self, value: Value, scale: float | None = None) -> Stored:
        """The tensor that is read where an operator reads a value, as codes or as it is."""
        while (node := value.producer) is not None:
            given = self.scales.get(node)
            if node.op == QUANTIZE and scale is None and given is not None:
                scale, value = given, next(node.inputs)
            elif node.op == DEQUANTIZE and scale is not None and given == scale:
                value, scale = next(node.inputs), None
            elif self.is_view(node):
                value = next(node.inputs)
            else:
                break
        return value, scale

    def is_view(self, node: Node) -> bool:
        """Whether no kernel runs for an operator, as it gives the same bytes another name."""
        free = node not in self.cover.owners and node not in self.skipped
        return free and self.table.has(node.op, "view")

    def _is_kernel(self, node: Node) -> bool:
        if node in self.cover.owners or node in self.skipped or self.is_view(node):
            return False
        return self.scales.get(node) is None

    # -- units -----------------------------------------------------------------------------------

    def _add(self, unit: Unit) -> None:
        self.found.append(unit)
        self.writer.update(dict.fromkeys(unit.writes, unit))

    def _of_choice(self, choice: Choice) -> Unit:
        nodes = choice.match.nodes
        unit = Unit(choice.fusion.name, list(nodes), fusion=choice.fusion, choices=[choice])
        inside = set(nodes)
        for value in self._sources(nodes, inside):
            scale = self.flow.codes[value] if value in choice.codes else None
            unit.reads[self.stored(value, scale)] = None
        for value in _results(nodes, inside):
            unit.writes[value, self._given(choice, value)] = None
        return unit

    def _alone(self, node: Node) -> Unit:
        """An operator that no cover took; data movement on codes where they are there, and then
        under the name of the fusion that says what it joins."""
        scale = self.moved.get(node)
        fusion = self.cover.alone(node) if scale is not None else None
        unit = Unit(fusion.name if fusion else node.op, [node], fusion=fusion)
        unit.reads = {self.stored(v, scale): None for v in self._sources([node], {node})}
        unit.writes = {(v, scale): None for v in node.outputs}
        return unit

    def _movement_scales(self) -> dict[Node, float | None]:
        """The scale of the codes that each data movement carries, None where it moves floats.

        It carries codes where what it reads are codes and somebody behind it takes them, or where
        all that it gives is wanted as codes.
        """
        found: dict[Node, float | None] = {}
        for node in reversed(self.place):
            movement = self.flow.movements.get(node)
            if movement is None:
                continue
            scale = common_scale(self.flow.codes, movement.inputs)
            if scale is None:
                scale = common_scale(self.flow.wanted, movement.outputs)
            elif not any(self._takes(r, v, found) for v in movement.outputs for r in v.readers):
                scale = None
            found[node] = scale
        return found

    def _takes(self, reader: Node, value: Value, moved: Mapping[Node, float | None]) -> bool:
        """Whether a reader takes the codes of a value; a Q of another scale requantizes them."""
        if choice := self.cover.owners.get(reader):
            return value in choice.codes
        return self.scales.get(reader) is not None or moved.get(reader) is not None

    def _sources(self, nodes: Iterable[Node], inside: Set[Node]) -> Iterator[Value]:
        """What operators read from outside that is computed as the network runs."""
        for node in nodes:
            for value in node.inputs:
                known = value.is_const or value.producer in self.skipped
                if not known and value.producer not in inside:
                    yield value

    # -- Q and DQ that stay behind ---------------------------------------------------------------

    def _convert(self) -> None:
        """A kernel for every tensor that is read in a form in which nobody writes it."""
        outputs = [self.stored(v) for v in self.graph.outputs]
        wanted = [*outputs, *(tensor for unit in self.found for tensor in unit.reads)]
        while wanted:
            value, scale = tensor = wanted.pop()
            if tensor not in self.writer and (unit := self._conversion(value, scale)):
                self._add(unit)
                wanted.extend(unit.reads)

    def _conversion(self, value: Value, scale: float | None) -> Unit | None:
        if scale is not None:
            nodes = [n for n in self._quantizers(value) if self.scales.get(n) == scale]
            before = self.flow.codes.get(value)
            return self._converter(nodes, value, before, scale) if nodes else None
        if (codes := self.flow.codes.get(value)) is not None:
            node = value.producer
            assert node is not None
            return self._converter([node], value, codes, None)
        return None

    def _converter(
        self, nodes: list[Node], value: Value, before: float | None, after: float | None
    ) -> Unit:
        fusion = self.cover.alone(nodes[0])
        unit = Unit(fusion.name if fusion else nodes[0].op, nodes, fusion=fusion)
        unit.reads[self.stored(value, before)] = None
        unit.writes[value, after] = None
        return unit

    def _quantizers(self, value: Value) -> Iterator[Node]:
        """The Qs of a value, also behind data movement."""
        waiting = [value]
        while waiting:
            for reader in waiting.pop().readers:
                if reader.op == QUANTIZE:
                    yield reader
                elif reader in self.flow.movements or self.is_view(reader):
                    waiting.extend(reader.outputs)

    def _assign_quantizers(self) -> None:
        """Each Q belongs to the kernel that writes its codes, each DQ to those that read them."""
        for node, scale in self.scales.items():
            if scale is None:
                continue
            if node.op == QUANTIZE:
                if (unit := self.writer.get(self.stored(node.output))) and node not in unit.nodes:
                    unit.nodes.append(node)
            else:
                self._assign_dequantizer(node)

    def _assign_dequantizer(self, node: Node) -> None:
        for reader in node.output.readers:
            choice = self.cover.owners.get(reader)
            if choice is not None and node.output in choice.codes:
                unit = self.writer[self._written(choice)]
                if node not in unit.nodes:
                    unit.nodes.append(node)

    def _written(self, choice: Choice) -> Stored:
        value = choice.match.root.output
        return value, self._given(choice, value)

    def _given(self, choice: Choice, value: Value) -> float | None:
        """The scale of the codes that a kernel writes, None where it writes floats."""
        return self.flow.wanted.get(value) if choice.int8 and not choice.floats else None


def _results(nodes: Sequence[Node], inside: Set[Node]) -> Iterator[Value]:
    """What operators give to the outside; the first output of the root in any case."""
    for node in nodes:
        for value in node.outputs:
            read = value.is_output or any(reader not in inside for reader in value.readers)
            if read or value is nodes[0].output:
                yield value


def join(units: Sequence[Unit], outputs: Set[Stored], writer: Mapping[Stored, Unit]) -> list[Unit]:
    """Let kernels take in those in front of them that their fusion `joins`.

    A kernel is taken in where nobody else reads what it gives.  Works from the inputs to the
    outputs, so that a whole chain becomes one kernel.
    """
    writers = dict(writer)
    readers: dict[Stored, set[Unit]] = {}
    for unit in units:
        for tensor in unit.reads:
            readers.setdefault(tensor, set()).add(unit)
    gone: set[Unit] = set()
    inside: dict[Unit, set[Node]] = {}
    for unit in units:
        for other in _joined(unit, writers):
            if all(readers.get(t, {unit}) == {unit} and t not in outputs for t in other.writes):
                _merge(unit, other, readers, inside)
                gone.add(other)
    return [unit for unit in units if unit not in gone]


def _joined(unit: Unit, writers: Mapping[Stored, Unit]) -> list[Unit]:
    if unit.fusion is None or not unit.fusion.joins:
        return []
    found = dict.fromkeys(writers[t] for t in unit.reads if t in writers)
    named = unit.fusion.joins
    return [u for u in found if u.fusion is not None and u.fusion.name in named]


def _merge(
    unit: Unit, other: Unit, readers: dict[Stored, set[Unit]], inside: dict[Unit, set[Node]]
) -> None:
    """`inside` holds the nodes of kernels that were joined: a chain may have thousands."""
    known = inside.pop(other, None) or set(other.nodes)
    new = [n for n in unit.nodes if n not in known]
    known.update(new)
    other.nodes.extend(new)  # it is no kernel any more
    other.choices.extend(unit.choices)
    unit.nodes, unit.choices, inside[unit] = other.nodes, other.choices, known
    kept = [t for t in unit.reads if t not in other.writes]
    unit.reads = dict.fromkeys([*other.reads, *kept])
    for tensor in other.reads:
        readers[tensor].discard(other)
        readers[tensor].add(unit)
