"""Why a declaration does not match: the reason of the attempt that came farthest."""

import pytest

from sparqc.match.match import Matcher
from tests.match.sketches import TABLE, book_of, graph_of, miss, pattern

TEXT = """
x: f32[2, 8]
w: const f32[4, 8]
a = nn.linear(x, w)
b = nn.relu(a)
c = nn.exp(a)
d = nn.add(b, c)
"""


@pytest.mark.parametrize(
    ("node", "block", "reason"),
    [
        ("c", "y = nn.relu(x)", "c comes from nn.exp, not from nn.relu"),
        ("c", "y = nn.exp({nn.relu, nn.neg}(x))", "nn.linear, not from nn.relu or nn.neg"),
        ("a", "y = nn.linear(nn.relu(x), w)", "x is an input of the graph, not from nn.relu"),
        ("a", "y = nn.linear(x, nn.relu(w))", "w is a constant, not from nn.relu"),
        ("a", "y = nn.linear(x: const, w)", "x (x) is not constant"),
        ("a", "y = nn.linear(x, w, b)", "the operand b is absent"),
        ("a", "y = nn.linear(x)", "a has a further operand, w, that the pattern does not name"),
        ("a", "y = nn.linear(x: f16, w)", "x is f32, not f16"),
        ("a", "y = nn.linear(x: [2, 9], w)", "x has the shape [2, 8], not [2, 9]"),
        ("a", "y = nn.linear(x: [n, n], w)", "n would be both 2 and 8"),
        ("d", "y = nn.add(x, x)", "x would be both b and c"),
        ("d", "y = nn.add(b, 3)", "b is not the constant 3"),
        ("b", "a = nn.linear(x, w)\ny = nn.relu(a)", "a is read outside of the match, by c"),
    ],
)  # fmt: skip
def test_reasons(node, block, reason):
    assert reason in miss(graph_of(TEXT), node, block)


def test_an_attribute_of_another_value():
    graph = graph_of("x: f32[2, 3]\ny = nn.concat(x, x, axis=1)")
    assert miss(graph, "y", "y = nn.concat(*xs, axis=0)") == "y = nn.concat has axis=1, not 0"
    assert miss(graph, "y", "y = nn.concat(*xs, zoom=0)") == "y = nn.concat has no attribute 'zoom'"


def test_a_graph_output_inside_the_match():
    graph = graph_of("x: f32[2]\na = nn.exp(x)\ny = nn.relu(a)\nreturn y, a")
    assert "a is read outside of the match: it is an output of the graph" in miss(
        graph, "y", "a = nn.exp(x)\ny = nn.relu(a)"
    )


def test_the_attempt_that_came_farthest_gives_the_reason():
    # The other order fails at once, since x is an input.
    graph = graph_of("x: f32[2]\na = nn.exp(x)\nb = nn.neg(a)\ny = nn.add(x, b)")
    reason = miss(graph, "y", "y = nn.add(nn.neg(nn.tanh(u)), v)")
    assert reason == "a comes from nn.exp, not from nn.tanh"


def test_a_condition_gives_its_own_reason():
    graph = graph_of("x: f32[2, 8]\nw: const f32[4, 8]\ny = nn.linear(x, w)")
    where = 'w.shape[1] % 16 == 0   else "channels: {w.shape}"'
    matcher, rule = pattern("y = nn.linear(x, w)", where=where)
    found = matcher.explain(rule, graph.value("y").producer)
    assert found.reason == "channels: [4, 8]"
    assert found.condition is rule.where[0]
    assert found.match.root is graph.value("y").producer
    assert found.span.line == 5


def test_the_match_that_met_most_conditions_gives_the_reason():
    graph = graph_of("x: f32[2, 8]\nz: f32[1, 8]\ny = nn.sub(x, z)\nq = nn.add(z, x)")
    where = 'a.shape[0] == 2 else "first"\nb.shape[0] == 3 else "second {b.shape}"'
    assert miss(graph, "q", "y = nn.add(a, b)", where=where) == "second [1, 8]"


def test_where_it_matches_there_is_no_miss():
    graph = graph_of("x: f32[2]\ny = nn.relu(x)")
    matcher, rule = pattern("y = nn.relu(x)")
    assert matcher.explain(rule, graph.value("y").producer) is None


def test_a_condition_of_a_family_is_named():
    family = (
        'op soft(x):\n    y = nn.softmax(x, axis=k)\n    where:\n        k == 1  else "axis {k}"\n'
    )
    graph = graph_of("x: f32[2, 3, 4]\ny = nn.softmax(x, axis=2)")
    assert miss(graph, "y", "y = soft(x)", spellings=family) == "no soft: axis 2"


def test_reasons_do_not_depend_on_operand_order():
    reasons = set()
    for operands in ("p, q", "q, p"):
        graph = graph_of(f"x: f32[4]\np = nn.exp(x)\nq = nn.neg(x)\ny = nn.add({operands})")
        reasons.add(miss(graph, "y", "y = nn.add(nn.tanh(u), v)"))
    assert reasons == {"p comes from nn.exp, not from nn.tanh"}


def test_the_span_is_that_of_the_operand():
    book = book_of(
        "rule r:\n    match:\n        y = nn.relu(nn.exp(x))\n    rewrite:\n        y = x\n"
    )
    matcher = Matcher(book, TABLE)
    graph = graph_of("x: f32[4]\na = nn.neg(x)\ny = nn.relu(a)")
    found = matcher.explain(book.find("r"), graph.value("y").producer)
    assert (found.span.line, found.span.column) == (3, 21)
