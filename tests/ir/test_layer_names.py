"""What people call an operator, and which ones their words mean."""

import pytest

from sparqc.ir.layer_names import is_meant, known_names, layer_name, name_of, nodes_meant
from sparqc.ir.text.print import parse_statements
from sparqc.ir.vocabulary.table import default_table


@pytest.mark.parametrize(
    ("name", "module", "text"),
    [
        ("conv_9", "c2.m.a.conv", "conv_9 (c2.m.a.conv)"),
        ("conv_9", "", "conv_9"),
        ("conv", "conv", "conv"),
        ("conv_1", "conv", "conv_1 (conv)"),
        ("/stem/Conv_output_0", "/stem/Conv", "/stem/Conv_output_0"),
        ("y", "GridSample_y", "y"),
    ],
)
def test_the_module_stands_behind_the_name_where_it_says_more(name, module, text):
    assert layer_name(name, module) == text
    assert is_meant(text, name, module)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("conv_9", True),
        ("c2.m.a.conv", True),
        ("conv_9 (c2.m.a.conv)", True),
        ("conv_?", True),
        ("c2.*", True),
        ("*(c2.m.*)", True),
        ("%conv_9", True),
        ("conv", False),
        ("c2.m", False),
        ("%c2.m.a.conv", False),
        ("%conv_?", False),
        ("conv_9 (c2.m.b.conv)", False),
        ("conv_8 (c2.m.a.conv)", False),
        ("", False),
    ],
)
def test_words_mean_the_name_the_module_or_both(words, meant):
    assert is_meant(words, "conv_9", "c2.m.a.conv") == meant


def test_a_name_with_the_signs_of_globs_means_itself():
    assert is_meant("a[0]*", "a[0]*", "")
    assert is_meant("a[0]* (m[1])", "a[0]*", "m[1]")


def test_in_a_graph_that_is_the_operators_in_its_order():
    text = "x: f32[4]\na = nn.relu(x)  # m.0\nb = nn.relu(a)  # m.1\na_1 = nn.relu(b)"
    graph = parse_statements(text, default_table(), "fx")
    names = [[n.output.name for n in nodes_meant(graph, w)] for w in ("a", "m.*", "a (m.0)", "c")]
    assert names == [["a"], ["a", "b"], ["a"], []]
    assert known_names(graph.nodes) == ["a", "a_1", "b", "m.0", "m.1"]
    assert [name_of(n) for n in graph.nodes] == ["a (m.0)", "b (m.1)", "a_1"]
