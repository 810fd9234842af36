"""The search finds what trying every combination of choices finds, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from hypothesis import given, settings

from sparqc.ir.graph import Graph, Node, Value
from sparqc.lang.ast import Bind, CallPattern, Declaration, MatchStatement
from sparqc.match.match import Matcher
from sparqc.match.rulebook import RuleBook
from tests.match.random_graphs import blocks, graphs
from tests.match.sketches import TABLE

Found = tuple[frozenset[tuple[str, object]], frozenset[str]]


class Combination:
    """One choice for each call: left out, or its operands in one of their orders.

    With all choices made, names follow from the root downwards without any search.
    """

    def __init__(self, block: tuple[MatchStatement, ...], choices: dict[int, str]) -> None:
        self.statements = {s.targets[0]: s for s in block}
        self.choices = choices
        self.bindings: dict[str, Value] = {}
        self.nodes: dict[Node, bool] = {}  # -> whether it may be read outside

    def meets(self, pattern: Bind | CallPattern, value: Value, shared: bool = False) -> bool:
        if isinstance(pattern, CallPattern):
            return self.meets_call(pattern, value, shared)
        if pattern.name in self.bindings:
            return self.bindings[pattern.name] is value
        self.bindings[pattern.name] = value
        statement = self.statements.get(pattern.name)
        return statement is None or self.meets(statement.call, value, statement.shared)

    def meets_call(self, call: CallPattern, value: Value, shared: bool) -> bool:
        choice, node = self.choices[id(call)], value.producer
        if choice == "left out":
            return self.meets(call.operands[0], value)
        if node is None or node.op not in call.heads:
            return False
        self.nodes[node] = self.nodes.get(node, False) or shared
        operands = list(node.inputs)
        if choice == "swapped":
            if node.op == "nn.sub":
                return False
            operands.reverse()
        return len(operands) == len(call.operands) and all(map(self.meets, call.operands, operands))

    def is_closed(self, root: Node) -> bool:
        """Whether what is inside is read inside only."""
        return all(
            node is root
            or shared
            or (not node.output.is_output and all(r in self.nodes for r in node.output.readers))
            for node, shared in self.nodes.items()
        )


def calls_of(pattern: Bind | CallPattern) -> Iterator[CallPattern]:
    if isinstance(pattern, CallPattern):
        yield pattern
        for operand in pattern.operands:
            yield from calls_of(operand)


def by_trying_everything(block: tuple[MatchStatement, ...], root: Node) -> set[Found]:
    calls = [call for statement in block for call in calls_of(statement.call)]
    options = [
        ["as it stands"]
        + ["swapped"] * (len(c.operands) == 2 and not c.ordered)
        + ["left out"] * c.maybe
        for c in calls
    ]
    names = {s.targets[0] for s in block} | {
        o.name for c in calls for o in c.operands if isinstance(o, Bind)
    }
    found = set()
    for choices in product(*options):
        trial = Combination(block, {id(c): x for c, x in zip(calls, choices, strict=True)})
        if not trial.meets(Bind(block[-1].targets[0]), root.output):
            continue
        if root in trial.nodes and trial.is_closed(root):
            found.add(summary({n: trial.bindings.get(n) for n in names}, trial.nodes))
    return found


def summary(bindings: dict[str, Value | None], nodes) -> Found:
    bound = {(name, value and value.name) for name, value in bindings.items()}
    return frozenset(bound), frozenset(node.output.name for node in nodes)


@settings(max_examples=400)
@given(graphs(), blocks(ordered=True))
def test_the_search_is_complete_and_sound(graph: Graph, block: tuple[MatchStatement, ...]) -> None:
    matcher = Matcher(RuleBook(table=TABLE), TABLE)
    decl = Declaration("d", block)
    for node in graph.nodes:
        found = [summary(m.bindings, m.nodes) for m in matcher.matches(decl, node)]
        assert len(found) == len(set(found))
        assert set(found) == by_trying_everything(block, node)
        assert (node.op in matcher.roots(decl)) or not found
        assert all(len(nodes) <= matcher.most(decl, node) for _, nodes in found)
