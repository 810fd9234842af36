"""Which fusions run in INT8: the cover of the graph, the conditions, and what follows from both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import weight_of
from sparqc.lang.ast import (
    Binary,
    Condition,
    Field,
    FusionDecl,
    Literal,
    Name,
    Pairing,
    ShareDecl,
)
from sparqc.lang.parse.keywords import KNOB
from sparqc.lang.walk import walk
from sparqc.match.cover import cover
from sparqc.match.evaluate import evaluate, failing, render
from sparqc.match.match import Index, Match, Matcher
from sparqc.passes.adopt.adopted import left_in_float
from sparqc.passes.place.insert_quantizers import Slot
from sparqc.passes.select import select
from sparqc.rewrite.context import Context


@dataclass(frozen=True)
class ArrivesInInt8:
    """The operands that were read as codes in the graph that quantizers were taken out of: each an
    operator, by the value that it gives, a slot, and the value that stands in it."""

    operands: frozenset[tuple[str, str, str]]


@dataclass(frozen=True)
class Unmeasured:
    """The values that no range is known of, nor will be: nothing may be quantized there."""

    values: frozenset[str]


@dataclass
class Decision:
    """One covered fusion, and why it stays in float ("" where it does not)."""

    match: Match
    #: The constant weights of its operators.
    weights: tuple[Value, ...] = ()
    reason: str = ""
    #: What the condition that keeps it in float is called, where that has a name.
    id: str = ""

    @property
    def fusion(self) -> FusionDecl:
        """The declaration that was matched."""
        return cast(FusionDecl, self.match.decl)

    def per_tensor(self, weight: Value) -> bool:
        """Whether the fusion wants one scale for the whole of a weight."""
        lines = [line for line in self.fusion.int8 if line.granularity == "tensor"]
        return any(self.match.bindings.get(n) is weight for line in lines for n in line.names)

    def multiplies(self, table: OperatorTable) -> bool:
        """Whether it holds a convolution or a matrix product, constant weight or not; others gain
        nothing from INT8 of their own."""
        return any(table.has(node.op, "contracts") for node in self.match.nodes)

    def outputs(self) -> Iterator[Value]:
        """The values behind which the fusion wants a quantizer, whoever reads them."""
        for name in (n for line in self.fusion.int8 if line.output for n in line.names):
            if isinstance(value := self.match.bindings.get(name), Value):
                yield value

    def fixed_scale(self, value: Value, matcher: Matcher) -> float | None:
        """The scale that the fusion itself gives to one of its operands; None: to be measured."""
        for line in self.fusion.int8:
            if line.scale is None:
                continue
            if any(self.match.bindings.get(name) is value for name in line.names):
                return float(cast(float, evaluate(line.scale, self.match, matcher)))
        return None

    def reads(self) -> Iterator[tuple[Value, Slot]]:
        """Each value that the fusion takes in INT8 per tensor, with each slot that reads it."""
        lines = [q for q in self.fusion.int8 if q.granularity == "tensor" and not q.output]
        names = [n for line in lines for n in line.names]
        bound = (self.match.bindings.get(name) for name in names)
        wanted = {v for v in bound if isinstance(v, Value) and v not in self.weights}
        for node in self.match.nodes:
            for slot, operand in node.operands.items():
                if isinstance(operand, Value) and operand in wanted:
                    yield operand, (node, slot)


@dataclass(frozen=True)
class Sharing:
    """One match of a `share`: these inputs of an operator have one scale, and so have its outputs
    where the declaration names one: the operator then moves codes."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    match: Match


def sharings(graph: Graph, context: Context, matcher: Matcher) -> dict[Node, Sharing]:
    """What the `share` declarations match, by the operator at the root."""
    index = Index(matcher, context.rules.shares(graph.level, context.target.name))
    found: dict[Node, Sharing] = {}
    for node in graph.nodes:
        matches = (matcher.first(share, node) for share in index.at(node))
        if match := next(filter(None, matches), None):
            found[node] = _sharing(match)
    return found


def _sharing(match: Match) -> Sharing:
    share = cast(ShareDecl, match.decl)
    values: list[Value] = []
    for name in share.scale:
        bound = match.bindings[name]
        values += cast("tuple[Value, ...]", bound if isinstance(bound, tuple) else (bound,))
    inputs = tuple(v for v in values if v.producer is not match.root)
    # Naming one output of an operator with several (Split) names them all.
    return Sharing(inputs, match.root.outputs if len(inputs) < len(values) else (), match)


class Decider:
    """Decides for every fusion of a graph; `decisions` holds the result."""

    def __init__(self, graph: Graph, context: Context) -> None:
        self.graph, self.context = graph, context
        self.matcher = Matcher(context.rules, context.table, context.target.name)
        self.unmeasured = context.facts.get(Unmeasured, Unmeasured(frozenset())).values
        self.excluded = select(graph, context.exclude, context.table)
        shared = sharings(graph, context, self.matcher)
        #: The operators that move codes, and those whose inputs have one scale and nothing more.
        self.movements = {n: s for n, s in shared.items() if s.outputs and n not in self.excluded}
        self.ties = [s for s in shared.values() if not s.outputs]
        fusions = context.rules.placing(graph.level, context.target.name)
        self.cover = cover(graph, self.matcher, fusions)
        self.decisions = [Decision(m, _weights(m, context.table)) for m in self.cover]
        self.roots = {d.match.root: d for d in self.decisions}
        self.owners = {node: d for d in self.decisions for node in d.match.nodes}
        self._without_wishes: dict[str, Sequence[Condition]] = {}
        self._apply_conditions()
        self._follow_neighbours()

    def _apply_conditions(self) -> None:
        for decision in self.decisions:
            taken = next(filter(None, map(self.excluded.get, decision.match.nodes)), None)
            if taken is not None:
                decision.reason = f"excluded by --exclude {taken}"
            elif miss := failing(self._conditions(decision), decision.match, self.matcher):
                decision.reason, decision.id = miss[1], miss[0].id
            elif not decision.fusion.int8:
                decision.reason = "the fusion takes no operand in INT8"
            else:
                decision.reason = left_in_float(decision.match.nodes, self.context)
                decision.reason = decision.reason or self._needs_data(decision)

    def _needs_data(self, decision: Decision) -> str:
        """Why a fusion stays in float for want of a range; a skip alone may stay in float."""
        factors = {v for n in decision.match.nodes if weight_of(n, self.context.table)
                   for v in n.inputs}  # fmt: skip
        needed = (v for v, _ in decision.reads() if not decision.weights or v in factors)
        open_ = next((v.name for v in needed if v.name in self.unmeasured), None)
        return f"the range of {open_} was never measured" if open_ else ""

    def _conditions(self, decision: Decision) -> Sequence[Condition]:
        """The conditions of its `int8` block.

        Where all that it would read is in INT8 already, and that is known, a knob has been turned
        by whoever quantized the graph: what asks for its word holds.
        """
        conditions = decision.fusion.int8_where
        known = self.context.facts.get(ArrivesInInt8)
        if known is None or not all(
            (node.output.name, slot, value.name) in known.operands
            for value, (node, slot) in decision.reads()
        ):
            return conditions
        name = decision.fusion.name
        if name not in self._without_wishes:
            self._without_wishes[name] = [c for c in conditions if not _asks_for_a_wish(c)]
        return self._without_wishes[name]

    def _follow_neighbours(self) -> None:
        """Put each fusion that multiplies nothing into float unless INT8 stands on both its sides.

        One fusion that falls back to float can take others with it, hence the repetition; it ends
        because each round but the last sends at least one more to float.
        """
        without_products = [d for d in self.decisions if not d.multiplies(self.context.table)]
        changed = True
        while changed:
            changed = self._follow_pairs()
            slots = self.requests()
            wanted, given = self.wanted(slots), self._from_int8()
            for decision in without_products:
                if not decision.reason:
                    decision.reason = self._float_side(decision, slots, wanted, given)
                    changed |= bool(decision.reason)

    def _float_side(
        self,
        decision: Decision,
        slots: dict[Value, dict[Slot, Decision]],
        wanted: set[Value],
        given: set[Value],
    ) -> str:
        """Why a fusion that multiplies nothing has no INT8 on one of its sides; "" where it has.

        A value that is one number for a whole feature map (the gates of squeeze-and-excitation,
        what a global pool gives) costs next to nothing to convert, so it does not count.
        """
        output = decision.match.root.output
        values = [value for value, _ in decision.reads()]
        maps = (v for v in values if not _is_spread(v, output))
        if not all(v in given or self._is_carried(v, slots) for v in maps):
            return "its input does not come from an INT8 kernel"
        if output in wanted:
            return ""
        for value in values:
            read = (d.match.root.output for d in slots.get(value, {}).values())
            whole = any(not _is_spread(y, value) for y in read)
            if not (whole and value in given and value in wanted and _is_spread(output, value)):
                return "not every reader of its output runs in INT8"
        return ""  # for it alone the INT8 kernel in front would write the map in float as well

    def _is_carried(self, value: Value, slots: dict[Value, dict[Slot, Decision]]) -> bool:
        """Whether a value has a quantizer anyway, for an operator that multiplies."""
        return any(d.multiplies(self.context.table) for d in slots.get(value, {}).values())

    def _follow_pairs(self) -> bool:
        """Put into float what is paired with a kernel in float, on either side of it."""
        changed = False
        for decision in self.decisions:
            for pairing in decision.fusion.pairings:
                given = decision.match.bindings.get(pairing.operand)
                giver = given.producer if isinstance(given, Value) else None
                other = self.roots.get(giver) if giver is not None else None
                if other is None or other.fusion.name != pairing.fusion:
                    continue
                if bool(other.reason) == bool(decision.reason):
                    continue
                changed = True
                if decision.reason:
                    name = decision.match.root.output.name
                    other.reason = f"it is paired with {name}, which stays in float"
                else:
                    decision.reason = self._paired(pairing, decision)
        return changed

    def _paired(self, pairing: Pairing, decision: Decision) -> str:
        """Why a kernel follows the one that it is paired with into float."""
        if pairing.reason is None:
            return f"{pairing.operand} comes from a {pairing.fusion} that stays in float"
        decision.id = pairing.reason.id
        return render(pairing.reason, decision.match, self.matcher)

    def requests(self) -> dict[Value, dict[Slot, Decision]]:
        """The values that INT8 fusions read, and the slots that read them so."""
        found: dict[Value, dict[Slot, Decision]] = {}
        for decision in self.decisions:
            if not decision.reason:
                for value, slot in decision.reads():
                    if value.name in self.unmeasured:
                        continue
                    found.setdefault(value, {})[slot] = decision
        return found

    def wanted(self, slots: dict[Value, dict[Slot, Decision]]) -> set[Value]:
        """The values that every reader takes in INT8, directly or through data movement."""
        found: set[Value] = set()
        for node in reversed(list(self.graph.nodes)):
            for value in node.outputs:
                if value.readers and not value.is_output and self._all_take(value, slots, found):
                    found.add(value)
        return found

    def _all_take(
        self, value: Value, slots: dict[Value, dict[Slot, Decision]], wanted: set[Value]
    ) -> bool:
        asked = slots.get(value, {})
        # To find the slots in a Sum of thousands takes as long: only where somebody asked for one.
        return all(
            self.moves(node, wanted)
            or (bool(asked) and all((node, slot) in asked for slot in node.slots_of(value)))
            for node in value.readers
        )

    def moves(self, node: Node, wanted: set[Value]) -> bool:
        """Whether the operator moves INT8 codes: all of what it gives is wanted in INT8."""
        return node in self.movements and wanted.issuperset(node.outputs)

    def _from_int8(self) -> set[Value]:
        """The values that leave an INT8 kernel, directly or through data movement."""
        found: set[Value] = set()
        for node in self.graph.nodes:
            if decision := self.roots.get(node):
                given = not decision.reason
            else:
                movement = self.movements.get(node)
                given = movement is not None and found.issuperset(movement.inputs)
            if given:
                found.update(node.outputs)
        return found


def _asks_for_a_wish(condition: Condition) -> bool:
    """Whether a condition compares a knob with a word, which is somebody's choice, not a fact."""
    return any(
        isinstance(b.right, Literal)
        and isinstance(b.right.value, str)
        and isinstance(b.left, Field)
        and b.left.of == Name(KNOB)
        for b in walk(condition.expr, Binary)
    )


def _weights(match: Match, table: OperatorTable) -> tuple[Value, ...]:
    """The constant weights of the matched operators."""
    return tuple(w.weight for w in (weight_of(n, table) for n in match.nodes) if w is not None)


def _is_spread(small: Value, large: Value) -> bool:
    """Whether a value has one number where the other has a feature map."""
    if small.shape is None or large.shape is None or len(large.shape) < 3:
        return False
    if len(small.shape) < 3:
        return True  # only batch and channels are left
    sizes = zip(small.shape[2:], large.shape[2:], strict=False)
    return len(small.shape) == len(large.shape) and all(a == 1 != b for a, b in sizes)
