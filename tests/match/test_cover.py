"""Covering a graph with fusions."""

import pytest

from sparqc.match.cover import cover
from sparqc.match.match import Matcher
from tests.match.sketches import TABLE, book_of, graph_of

FUSIONS = """
op act(x):
    y = {nn.relu, nn.clip}(x, ...)

fusion conv_add_act:
    match:
        c = nn.conv(x, w: const, b?: const)
        s = nn.add(c, r)
        y = maybe act(s)
    where:
        not r.is_const      else "it adds a constant"
        @deeper(c, r)       else "the other one is deeper"

fusion conv_act:
    match:
        c = nn.conv(x, w: const, b?: const)
        y = maybe act(c)
    where:
        c.groups == 1       else "{c.groups} groups"
"""

BLOCK = """
x: f32[1, 8, 8, 8]
w1: const f32[8, 8, 1, 1]
w2: const f32[8, 8, 1, 1]
c1 = nn.conv(x, w1)
r1 = nn.relu(c1)
c2 = nn.conv(r1, w2)
a = nn.add(x, c2)
y = nn.relu(a)
z = nn.neg(y)
"""


def deeper(c, r) -> bool:
    def depth(v):
        return 0 if v.producer is None else 1 + max(map(depth, v.producer.inputs), default=0)

    return (depth(c), c.name) > (depth(r), r.name)


def covered(text, fusions=FUSIONS):
    graph = graph_of(text)
    book = book_of(fusions, deeper=deeper)
    return graph, cover(graph, Matcher(book, TABLE), book.fusions("onnx"))


def summary(matches):
    return [(m.decl.name, *(n.output.name for n in m.nodes)) for m in matches]


def test_the_longest_fusion_wins_from_the_outputs_on():
    _, found = covered(BLOCK)
    assert summary(found) == [("conv_add_act", "y", "a", "c2"), ("conv_act", "r1", "c1")]
    assert len(found) == 2 and found[0].decl.name == "conv_add_act"


def test_an_operator_belongs_to_one_fusion_and_values_between_are_shared():
    graph, found = covered(BLOCK)
    assert found.of(graph.value("c2").producer) is found[0]
    assert found.of(graph.value("r1").producer) is found[1]
    assert found.of(graph.value("z").producer) is None
    nodes = [n for m in found for n in m.nodes]
    assert len(nodes) == len(set(nodes))


def test_of_two_convolutions_one_takes_the_add():
    text = BLOCK.replace("a = nn.add(x, c2)", "c3 = nn.conv(x, w1)\na = nn.add(c3, c2)")
    _, found = covered(text)
    assert summary(found) == [
        ("conv_add_act", "y", "a", "c2"), ("conv_act", "c3"), ("conv_act", "r1", "c1")
    ] or summary(found) == [
        ("conv_add_act", "y", "a", "c2"), ("conv_act", "r1", "c1"), ("conv_act", "c3")
    ]  # fmt: skip


def test_a_value_read_twice_ends_a_fusion():
    _, found = covered(BLOCK.replace("z = nn.neg(y)", "z = nn.neg(y)\nq = nn.exp(c2)\nreturn z, q"))
    assert summary(found) == [("conv_act", "c2"), ("conv_act", "r1", "c1")]


def test_why_nothing_covers_an_operator():
    graph, found = covered(
        "x: f32[1, 8, 8, 8]\nw: const f32[8, 1, 1, 1]\nc = nn.conv(x, w, none, groups=8)\n"
        "y = nn.relu(c)\nz = nn.neg(y)"
    )
    assert list(found) == []
    miss = found.why_not_covered(graph.value("c").producer)
    assert (miss.reason, miss.decl.name) == ("8 groups", "conv_act")
    assert found.why_not_covered(graph.value("z").producer) is None


def test_why_nothing_covers_an_operator_that_another_fusion_cuts_off():
    fusions = """
fusion long:
    match:
        y = nn.relu(nn.add(a, nn.exp(b)))

fusion pair:
    match:
        e = shared nn.exp(b)
        y = nn.sqrt(e)

fusion lone:
    match:
        y = nn.exp(b)
    where:
        b.rank == 9     else "rank {b.rank}"
"""
    graph, found = covered(
        "x: f32[4]\ne = nn.exp(x)\ns = nn.sqrt(e)\nt = nn.neg(x)\nreturn s, t, e", fusions
    )
    assert summary(found) == [("pair", "s", "e")]
    graph, found = covered("x: f32[4]\ne = nn.exp(x)\nt = nn.neg(e)", fusions)
    assert found.why_not_covered(graph.value("e").producer).reason == "rank 1"


def test_a_fusion_whose_operators_are_taken_is_passed_over():
    fusions = """
fusion pair:
    match:
        e = shared nn.exp(b)
        y = nn.sqrt(e)

fusion pair_of_abs:
    match:
        e = shared nn.exp(b)
        y = nn.abs(e)
"""
    graph, found = covered("x: f32[4]\ne = nn.exp(x)\ns = nn.sqrt(e)\nt = nn.abs(e)", fusions)
    assert len(found) == 1
    left = graph.value("t" if found[0].root.op == "nn.sqrt" else "s").producer
    miss = found.why_not_covered(left)
    assert miss.reason == f"e already belongs to the fusion {found[0].decl.name}"


@pytest.mark.parametrize("operands", ["x, c2", "c2, x"])
def test_operand_order_changes_nothing(operands):
    _, found = covered(BLOCK.replace("x, c2", operands))
    assert summary(found) == [("conv_add_act", "y", "a", "c2"), ("conv_act", "r1", "c1")]


def test_the_order_of_the_files_changes_nothing():
    parts = FUSIONS.split("\n\n")
    _, found = covered(BLOCK, "\n\n".join(parts[::-1]))
    assert summary(found) == [("conv_add_act", "y", "a", "c2"), ("conv_act", "r1", "c1")]
