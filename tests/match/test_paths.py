"""Paths in conditions: which operators lead from a value to others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqc.errors import PatternError
from sparqc.ir.graph import Graph
from sparqc.lang.parse.parser import parse_text
from sparqc.match.evaluate import failing
from sparqc.match.match import Matcher
from sparqc.match.rulebook import RuleBook
from tests.match.sketches import TABLE, graph_of, pattern

GRAPH = """
x: f32[batch, 4, 8]
m: f32[batch, 4, 4]
w: const f32[8, 8]
k = nn.matmul(x, w)
t = nn.transpose(k, perm=[0, 2, 1])
s = nn.matmul(x, t)
a = nn.add(s, m)
sizes: const i64[3] = [-1, 4, 4]
r = nn.reshape(a, sizes)
p = nn.softmax(r, axis=-1)
y = nn.matmul(p, x)
g = nn.sigmoid(y)
z = nn.mul(y, g)
return z
"""


#: Silu written out, and families that a path goes through by one operand of several.
SPELLINGS = """
op nn.silu(x):
    "Written out."
    y = nn.mul(x, nn.sigmoid(x))

op reshaped(x):
    y = nn.reshape(x, ...)

op right(b):
    y = nn.matmul(_, b)

op left(a):
    y = nn.matmul(a, _)
"""


def holds(condition: str, at: str = "s") -> bool:
    """Whether a condition on `v`, a value of the graph, holds."""
    block = f"v = shared nn.{OPS[at]}(...)"
    matcher, rule = pattern(block, where=condition, spellings=SPELLINGS)
    graph = graph_of(GRAPH)
    (match,) = matcher.matches(rule, graph.value(at).producer)
    return failing(rule.where, match, matcher) is None


OPS = {"k": "matmul", "t": "transpose", "s": "matmul", "a": "add", "r": "reshape",
       "p": "softmax", "y": "matmul", "g": "sigmoid", "z": "mul"}  # fmt: skip


@pytest.mark.parametrize(
    ("at", "condition"),
    [
        ("a", "v reaches nn.reshape"),
        ("r", "v reaches {nn.relu, nn.softmax}"),
        ("s", "v reaches nn.softmax through {nn.add, nn.reshape}"),
        ("s", "v reaches nn.softmax through {elementwise, view}"),
        ("k", "v reaches nn.softmax through ..."),
        ("p", "v reaches weighted"),
        ("y", "v reaches nn.silu"),  # written out: the Mul at its end reads y
        ("y", "v reaches output through nn.silu"),
        ("z", "v reaches output"),
        ("r", "v comes from view"),
        ("k", "v comes from const through nn.matmul"),
        ("r", "v comes from const through nn.reshape"),  # the shape
        ("p", "v comes from {nn.matmul, const} through {nn.softmax, reshaped, nn.add}"),
        ("t", "v reaches nn.add through right"),
        ("a", "v reaches only nn.reshape"),
        ("y", "v reaches only {nn.mul, nn.sigmoid}"),
        ("y", "v reaches only nn.mul through nn.sigmoid"),
        ("y", "v reaches only output through {nn.sigmoid, nn.mul}"),
        ("k", "v comes only from {input, const} through nn.matmul"),
        ("t", "v reaches right"),
        ("t", "not v reaches left"),  # it is the other operand
        ("k", "v comes from const through right"),
        ("p", "v comes from nn.softmax and v comes from nn.matmul through ..."),
        ("a", "v comes from input through nn.add"),  # the mask
        ("t", "v comes from input through {nn.transpose, nn.matmul}"),
    ],
)
def test_a_path_that_there_is(at: str, condition: str) -> None:
    assert holds(condition, at)


@pytest.mark.parametrize(
    ("at", "condition"),
    [
        ("s", "v reaches nn.softmax"),
        ("s", "v reaches nn.softmax through nn.add"),
        ("p", "v reaches nn.softmax through ..."),  # only what is behind it
        ("a", "v comes from nn.softmax through ..."),
        ("p", "v comes from nn.add"),
        ("s", "v reaches output through elementwise"),
        ("y", "v comes from input through nn.matmul and v reaches nn.relu"),
        ("z", "v reaches output through nn.relu and v reaches nn.matmul"),
        ("t", "v comes from input through nn.transpose"),
        ("r", "v comes from const through reshaped"),
        ("a", "v comes from const through {nn.add, nn.matmul} and v comes from const"),
        ("k", "v comes from input through right"),
        ("g", "v reaches output through right and v reaches output through left"),
        ("y", "v reaches only nn.mul"),  # a Sigmoid does as well
        ("z", "v reaches only nn.relu"),  # it is an output
        ("k", "v comes only from const through nn.matmul"),
        ("s", "v comes only from const through nn.relu"),
        ("t", "v reaches left"),
    ],
)
def test_a_path_that_there_is_not(at: str, condition: str) -> None:
    assert not holds(condition, at)


def test_an_absent_operand_leads_nowhere() -> None:
    matcher, rule = pattern("y = nn.linear(x, w, b?)", where="not b comes from ...")
    graph = graph_of("x: f32[2, 8]\nw: const f32[4, 8]\ny = nn.linear(x, w)\nreturn y")
    (match,) = matcher.matches(rule, graph.value("y").producer)
    assert failing(rule.where, match, matcher) is None


def test_what_is_no_value_is_an_error() -> None:
    with pytest.raises(PatternError, match="is no value that leads anywhere"):
        holds("v.shape reaches nn.relu")


def test_the_answer_follows_the_graph() -> None:
    matcher, rule = pattern("v = shared nn.relu(x)", where="v reaches nn.neg through nn.abs")
    graph = graph_of("x: f32[2]\nv = nn.relu(x)\na = nn.abs(v)\nn = nn.neg(a)\nreturn n, a")
    assert matcher.first(rule, graph.value("v").producer)
    graph.replace(graph.value("n"), graph.value("a"))
    graph.drop_dead()
    assert matcher.first(rule, graph.value("v").producer) is None


@st.composite
def chains(draw: st.DrawFn) -> Graph:
    """A graph of operators with one or two operands each."""
    lines, names = ["v0: f32[2, 3]"], ["v0"]
    for number in range(1, draw(st.integers(2, 9))):
        op = draw(st.sampled_from(["relu", "neg", "abs", "add", "mul"]))
        count = 2 if op in ("add", "mul") else 1
        operands = [draw(st.sampled_from(names)) for _ in range(count)]
        names.append(f"v{number}")
        lines.append(f"v{number} = nn.{op}({', '.join(operands)})")
    lines += [f"return {', '.join(names[1:])}"] if draw(st.booleans()) else []
    return graph_of("\n".join(lines))


OPERATORS = ["nn.relu", "nn.neg", "nn.abs", "nn.add", "nn.mul"]
kinds = st.lists(st.sampled_from(OPERATORS), min_size=1, max_size=3)


@given(chains(), kinds, kinds)
def test_a_path_is_found_where_a_walk_finds_it(
    graph: Graph, wanted: list[str], through: list[str]
) -> None:
    text = (
        (
            'check c on onnx grade note:\n    "A path."\n    match:\n        v = shared {op}(...)\n'
            "    where:\n        v {way} {{{{{wanted}}}}} through {{{{{through}}}}}\n"
            '    message "found"\n    source "none"\n'
        )
        .replace("{{{{", "{{")
        .replace("}}}}", "}}")
    )
    ways = {
        "reaches": lambda v: walks(v, set(wanted), set(through), True),
        "comes from": lambda v: walks(v, set(wanted), set(through), False),
        "reaches only": lambda v: all_end(v, set(wanted), set(through), True),
        "comes only from": lambda v: all_end(v, set(wanted), set(through), False),
    }
    for way, expected in ways.items():
        ends = ["output" if way == "reaches only" else "input"] if "only" in way else []
        for node in graph.nodes:
            words = {"op": node.op, "way": way, "wanted": ", ".join([*wanted, *ends])}
            made = text.format(through=", ".join(through), **words)
            (check,) = parse_text(made, "c.spq").declarations
            matcher = Matcher(RuleBook([check], TABLE), TABLE)
            assert (matcher.first(check, node) is not None) == expected(node.output)


def walks(value, wanted: set[str], through: set[str], forward: bool) -> bool:
    """The definition of a path, said once more by recursion."""
    nodes = list(value.readers) if forward else [value.producer] if value.producer else []
    return any(
        node.op in wanted
        or (
            node.op in through
            and any(
                walks(v, wanted, through, forward)
                for v in (node.outputs if forward else node.inputs)
            )
        )
        for node in nodes
    )


def all_end(value, wanted: set[str], through: set[str], forward: bool) -> bool:
    """Whether every way from a value leads to an operator that is wanted, or out of the graph."""
    if not forward and value.producer is None:
        return True
    return all(
        node.op in wanted
        or (
            node.op in through
            and all(
                all_end(v, wanted, through, forward)
                for v in (node.outputs if forward else node.inputs)
            )
        )
        for node in (value.readers if forward else [value.producer])
    )
