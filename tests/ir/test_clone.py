"""A copy of a graph: equal in everything, and on its own."""

import pytest

from sparqc.ir.graph import Graph, Origin
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.text.print import print_graph
from sparqc.ir.vocabulary.table import default_table

TEXT = """
x: f32[2, 8]
w: const f32[8, 8]
m: const bool[8, 8]
k = sparse.mask(w, m)
a = nn.linear(x, k)
b, c = nn.split(a, sizes=[4, 4], axis=1)
d = nn.concat(b, c, b, axis=1)
e = nn.sub(a, a)
return d as first, e, a, e as again
"""


@pytest.fixture
def graph() -> Graph:
    graph = parse_statements(TEXT, default_table(), "onnx")
    graph.value("a").producer.origin = Origin("fc", "model.py:3", ("a.spq:1 r",))
    return graph


def test_a_clone_is_equal_and_sound(graph):
    copy = graph.clone()
    copy.verify()
    assert print_graph(copy) == print_graph(graph)
    assert copy.output_names == ["first", "e", "a", "again"]
    assert [v.name for v in copy.constants] == [v.name for v in graph.constants]
    assert copy.value("a").producer.origin == graph.value("a").producer.origin
    for value in (copy.value(n) for n in ("x", "w", "a", "b")):
        assert [n.op for n in value.readers] == [n.op for n in graph.value(value.name).readers]


def test_a_clone_has_nodes_and_values_of_its_own_but_shares_arrays(graph):
    copy = graph.clone()
    assert not set(copy.nodes) & set(graph.nodes)
    assert copy.value("a") is not graph.value("a")
    assert copy.value("a").producer.graph is copy
    assert copy.value("w").data is graph.value("w").data


def test_changing_a_clone_leaves_the_original_alone(graph):
    before = print_graph(graph)
    copy = graph.clone()
    copy.value("b").producer.attributes["axis"] = 0
    copy.replace(copy.value("a"), copy.value("x"))
    copy.drop_dead()
    copy.rename(copy.value("x"), "input")
    copy.verify()
    assert print_graph(graph) == before
    graph.verify()


def test_fresh_names_go_on_where_they_were(graph):
    graph.constant(graph.value("w").data, "w")
    copy = graph.clone()
    assert copy.fresh("w") == graph.fresh("w") == "w_2"
