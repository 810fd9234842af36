"""A rule may take the operator with a layer's name away: what passes decided stays known."""

from sparqc.ir.layer_identity import carriers, decided, mark_layer
from tests.match.sketches import graph_of, run
from tests.rewrite.test_rewrite import CONV, rule


def test_a_layer_is_called_what_it_was_called_when_it_was_first_marked():
    graph = graph_of(CONV + "c = nn.conv(x, w, b)\ny = nn.neg(c)")
    node = graph.value("c").producer
    assert mark_layer(node) == "c"
    graph.rename(node.output, "other")
    assert mark_layer(node) == "c"
    assert decided(node, {"c": 1}) == 1
    assert decided(node, {"other": 2}) is None
    assert carriers(graph.clone())["c"].output.name == "other"


def test_an_operator_in_the_place_of_a_layer_is_that_layer():
    graph = graph_of(CONV + "c = nn.conv(x, w, b)\ny = nn.neg(c)\nz = nn.exp(y)")
    mark_layer(graph.value("c").producer)
    run(graph, rule("c = nn.conv(x, w, b)\ny = nn.neg(c)", "y = nn.conv(x, w)"))
    assert graph.value("y").producer.layers == ("c",)


def test_what_was_two_layers_is_both():
    graph = graph_of(CONV + "c = nn.conv(x, w, b)\nd = nn.conv(c, w)\nz = nn.exp(d)")
    for name in "cd":
        mark_layer(graph.value(name).producer)
    run(graph, rule("c = nn.conv(x, w, b)\nd = nn.conv(c, w)", "d = nn.conv(x, w) like d"))
    heir = graph.value("d").producer
    assert heir.layers == ("d", "c")
    assert carriers(graph) | {"z": None} == {"c": heir, "d": heir, "z": None}


def test_the_new_operator_with_a_weight_inherits():
    graph = graph_of(CONV + "c = nn.conv(x, w, b)\ny = nn.neg(c)\nz = nn.exp(y)")
    mark_layer(graph.value("c").producer)
    match = "c = nn.conv(x, w, b)\ny = nn.neg(c)"
    run(graph, rule(match, "h = nn.relu(x)\nm = nn.conv(h, w)\ny = nn.tanh(m)"))
    assert {n.op: n.layers for n in graph.nodes if n.layers} == {"nn.conv": ("c",)}


def test_a_layer_that_stands_goes_on_alone():
    graph = graph_of(CONV + "c = nn.conv(x, w, b)\ny = nn.neg(c)\nz = nn.add(c, y)")
    mark_layer(graph.value("c").producer)
    run(graph, rule("y = nn.neg(c)", "y = nn.relu(c)"))
    assert [n.op for n in graph.nodes if n.layers] == ["nn.conv"]
