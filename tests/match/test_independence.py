"""Neither the order of nodes, nor of operands, nor of declarations changes the outcome."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from sparqc.lang.ast import BuildCall, Declaration, FusionDecl, Name, RewriteStatement, RuleDecl
from sparqc.lang.parse.parser import parse_text
from sparqc.match.cover import cover
from sparqc.match.match import Matcher
from sparqc.match.order import Order
from sparqc.match.rulebook import RuleBook
from sparqc.pipeline.events import Listener
from sparqc.rewrite.worklist import rewrite
from tests.match.random_graphs import blocks, content, graphs, shuffled
from tests.match.sketches import TABLE, context_of

# Overlapping on purpose: what is left depends on which one is applied where, and on operand order.
# Each makes the graph smaller or turns an operator into one that no rule matches.
RULES = parse_text(
    """
rule first_operand:
    match:
        y = nn.add(nn.relu(u), v)
    rewrite:
        y = nn.sub(v, u)

rule either:
    match:
        y = nn.mul(u, v)
    rewrite:
        y = nn.sub(u, nn.tanh(v))

rule collapse:
    match:
        e = nn.exp(u)
        y = maybe nn.relu(e)
    rewrite:
        y = maybe nn.relu(nn.sqrt(u))

rule nested:
    match:
        y = nn.add(nn.add(a, b), c)
    rewrite:
        y = nn.sub(a, nn.sub(b, c))

rule negated:
    match:
        y = {nn.neg, nn.relu}(nn.neg(x))
    rewrite:
        y = nn.abs(x)

rule square:
    match:
        s = shared nn.neg(x)
        y = nn.sub(s, v)
    rewrite:
        y = nn.tanh(v)
""",
    "rules.spq",
).declarations

seeds = st.integers(0, 2**32 - 1)


def book(declarations, order: random.Random | None = None) -> RuleBook:
    declarations = list(declarations)
    if order is not None:
        order.shuffle(declarations)
    return RuleBook(declarations, TABLE, {})


class Verifier(Listener):
    """Checks the structure of a graph after every single application."""

    def __init__(self, graph) -> None:
        self.graph = graph

    def on_rule(self, event) -> None:
        self.graph.verify()


@settings(max_examples=200)
@given(graphs(least=4, most=14), seeds)
def test_rewriting(graph, seed) -> None:
    other = shuffled(graph, random.Random(seed))
    assert content(graph) == content(other)
    counts = []
    for one, known in ((graph, book(RULES)), (other, book(RULES, random.Random(seed)))):
        context = context_of(known, listeners=[Verifier(one)])
        counts.append(rewrite(one, known.rules("onnx"), context))
    assert counts[0] == counts[1]
    assert content(graph) == content(other)


@settings(max_examples=150)
@given(graphs(least=4, most=10), st.lists(blocks(), min_size=1, max_size=4), seeds)
def test_covering(graph, shapes, seed) -> None:
    fusions = [FusionDecl(f"f{i}", block) for i, block in enumerate(shapes)]
    other = shuffled(graph, random.Random(seed))
    results = []
    for one, known in ((graph, book(fusions)), (other, book(fusions, random.Random(seed)))):
        found = cover(one, Matcher(known, TABLE), known.fusions("onnx"))
        results.append([(m.decl.name, summary(m)) for m in found])
        nodes = [n for m in found for n in m.nodes]
        assert len(nodes) == len(set(nodes))
        misses = [found.why_not_covered(n) for n in one.nodes]
        assert all(
            (found.of(n) is None) or m is None for n, m in zip(one.nodes, misses, strict=True)
        )
    assert results[0] == results[1]


@settings(max_examples=150)
@given(graphs(least=3, most=9), blocks(), seeds)
def test_the_order_of_matches_and_the_reasons_of_misses(graph, block, seed) -> None:
    other = shuffled(graph, random.Random(seed))
    decl = Declaration("d", block)
    results = []
    for one in (graph, other):
        matcher = Matcher(book([]), TABLE)
        nodes = sorted(one.nodes, key=lambda n: n.output.name)
        results.append(
            [
                ([summary(m) for m in matcher.matches(decl, n)], str(matcher.explain(decl, n)))
                for n in nodes
            ]
        )
    assert results[0] == results[1]


def summary(match):
    bindings = [(n, v.name if v is not None else None) for n, v in match.bindings.items()]
    return bindings, [n.output.name for n in match.nodes]


@settings(max_examples=100)
@given(graphs(least=3, most=12), seeds)
def test_the_order_of_visits(graph, seed) -> None:
    other = shuffled(graph, random.Random(seed))
    orders = [[n.output.name for n in Order(g, TABLE).outputs_first()] for g in (graph, other)]
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == sorted(n.output.name for n in graph.nodes)
    place = {name: index for index, name in enumerate(orders[0])}
    for node in graph.nodes:
        for value in node.inputs:
            if value.producer is not None:
                assert place[node.output.name] < place[value.name]


def test_names_decide_only_between_equal_expressions() -> None:
    from tests.match.sketches import graph_of

    texts = ["p = nn.exp(x)\nq = nn.neg(x)", "q = nn.exp(x)\np = nn.neg(x)"]
    results = []
    for text in texts:
        graph = graph_of(f"x: f32[4]\n{text}\ny = nn.add(p, q)")
        decl = RuleDecl(
            "r",
            parse_text(
                "rule r:\n    match:\n        y = nn.add(u, v)\n    rewrite:\n        y = u\n"
            )
            .declarations[0]
            .match,
            rewrite=(RewriteStatement(("y",), BuildCall("nn.tanh", (Name("u"),))),),
        )
        match = Matcher(book([]), TABLE).matches(decl, graph.value("y").producer)[0]
        results.append(match.bindings["u"].producer.op)
    assert results[0] == results[1]
