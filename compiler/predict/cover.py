"""Which fusions become kernels in a Q/DQ graph, and which of these run in INT8."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.quantizers import DEQUANTIZE
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import Weighted, weight_of
from sparqc.lang.ast import FusionDecl
from sparqc.match.cover import by_precedence
from sparqc.match.evaluate import failing
from sparqc.match.match import Index, Match, Matcher
from sparqc.predict.codes import Flow, fault_of, weight_fault
from sparqc.rewrite.context import Context


@dataclass(frozen=True, eq=False)
class Choice:
    """A fusion that is one kernel: in INT8, or in float for a reason."""

    match: Match
    int8: bool
    #: Why it is not INT8, "" where it is.
    reason: str = ""
    #: The operands that it takes as codes.
    codes: tuple[Value, ...] = ()
    #: The operator with the weight, where there is one.
    weighted: Weighted | None = None
    #: An operand of the `int8` block that it reads in float, so that it writes float too.
    floats: tuple[Value, ...] = ()

    @property
    def fusion(self) -> FusionDecl:
        """The declaration that describes it."""
        return cast(FusionDecl, self.match.decl)


class KernelCover:
    """The chosen fusions of a graph, by operator.

    From the outputs to the inputs; at each root in the order of `by_precedence`.  An operator with
    a weight that is half quantized runs in float.  A kernel in INT8 may read what else it takes in,
    such as the skip of a residual Add, in float, and then writes float.
    """

    def __init__(self, graph: Graph, context: Context, matcher: Matcher, codes: Flow) -> None:
        self._matcher, self._table, self._flow = matcher, context.table, codes
        fusions = context.rules.fusions(graph.level, context.target.name)
        self._index = Index(matcher, fusions)
        self.choices: list[Choice] = []
        self.owners: dict[Node, Choice] = {}

    def take(self, nodes: Sequence[Node]) -> None:
        """Cover these operators, which stand in an order from the outputs to the inputs."""
        free = set(nodes)
        for node in nodes:
            # Data movement is a kernel by what it carries; a fusion may have it inside.
            if node not in self.owners and node not in self._flow.movements:
                self._take(node, free)

    def _take(self, node: Node, free: set[Node]) -> None:
        for match in by_precedence(self._index.at(node), node, self._matcher):
            open_ = all(n in free and n not in self.owners for n in match.nodes)
            if not open_ or not self._matcher.holds(match):
                continue
            if (choice := self._choice(match)) is not None:
                self.choices.append(choice)
                self.owners.update(dict.fromkeys(match.nodes, choice))
                return

    def alone(self, node: Node) -> FusionDecl | None:
        """The fusion that describes a Q, a DQ or data movement that is a kernel of its own."""
        for match in by_precedence(self._index.at(node), node, self._matcher):
            if match.nodes == (node,) and self._matcher.holds(match):
                return cast(FusionDecl, match.decl)
        return None

    def _choice(self, match: Match) -> Choice | None:
        """How the match runs, None where it is no kernel."""
        fusion = cast(FusionDecl, match.decl)
        found = self._weighted(match)
        if reason := self._never_int8(match):
            return Choice(match, False, reason, weighted=found)
        wanted = _values(match, fusion, "tensor")
        if found is None:
            return self._unweighted(match, wanted)
        single, wanted = found.weight in wanted, [v for v in wanted if v is not found.weight]
        core = [v for v in wanted if found.node.slots_of(v)]
        faults = [f for v in core if (f := self._data_fault(v))]
        if fault := weight_fault(found, self._table, single):
            faults.append(fault)
        others = [v for v in wanted if v not in core]
        floats = tuple(v for v in others if v not in self._flow.codes)
        if faults:
            alike = len(floats) == len(others)
            return Choice(match, False, "; ".join(faults), weighted=found) if alike else None
        codes = tuple(v for v in wanted if v not in floats)
        return Choice(match, True, "", codes, found, floats)

    def _unweighted(self, match: Match, wanted: Sequence[Value]) -> Choice | None:
        """Without a weight, INT8 on both sides; a product may give float all the same."""
        missing = [v for v in wanted if v not in self._flow.codes]
        product = any(self._table.has(n.op, "contracts") for n in match.nodes)
        if not missing and (product or match.root.output in self._flow.wanted):
            return Choice(match, True, "", tuple(wanted))
        if not product:
            return None
        return Choice(match, False, "; ".join(filter(None, map(self._data_fault, missing))))

    def _weighted(self, match: Match) -> Weighted | None:
        found = (weight_of(node, self._table) for node in reversed(match.nodes))
        return next((w for w in found if w is not None), None)

    def _never_int8(self, match: Match) -> str:
        """Why such a kernel is never INT8: a line that begins with `never`, or no operand.

        Other conditions of the `int8` block say where INT8 is not worth its while: a file that
        asks for it all the same gets it.
        """
        fusion = cast(FusionDecl, match.decl)
        never = [c for c in fusion.int8_where if c.never]
        missed = failing(never, match, self._matcher)
        if missed is not None:
            return missed[1]
        return "" if fusion.int8 else f"{fusion.name} takes no operand in INT8"

    def _data_fault(self, value: Value) -> str:
        """Why a value does not arrive as codes, "" where it does."""
        return "" if value in self._flow.codes else data_fault(value, self._flow, self._table)


def data_fault(value: Value, codes: Flow, table: OperatorTable) -> str:
    """In words, why a value that an INT8 kernel would read is no codes."""
    node = value.producer
    if node is None:
        return f"its data {value.name!r} are an input of the graph in float"
    if node.op == DEQUANTIZE:
        return f"{value.name}: {fault_of(node, table)}"
    before = [v for v in node.inputs if v in codes.codes]
    kind = node.op.rpartition(".")[2]
    if not before:
        return f"its data {value.name!r} arrive in float from {kind}"
    if node in codes.movements:
        return f"the inputs of {value.name!r} ({kind}) have different scales, or some are float"
    return f"{value.name} ({kind}) stands between the DequantizeLinear and it"


def _values(match: Match, fusion: FusionDecl, granularity: str) -> list[Value]:
    """The values that the int8 block names, those that a fusion gives excepted."""
    names = [n for q in fusion.int8 if q.granularity == granularity and not q.output
             for n in q.names]  # fmt: skip
    return list(dict.fromkeys(v for n in names for v in _bound(match, n)))


def _bound(match: Match, name: str) -> Iterator[Value]:
    bound = match.bindings.get(name)
    for item in bound if isinstance(bound, tuple) else (bound,):
        if isinstance(item, Value):
            yield item
