"""A rewrite that changes the type of a value is refused, with its line, and the graph stays."""

import pytest

from sparqc.errors import PatternError
from sparqc.ir.graph import Array, TensorType
from sparqc.ir.text.print import print_graph
from sparqc.match.match import Matcher
from sparqc.rewrite.apply import apply
from tests.match.sketches import TABLE, book_of, graph_of, run

CONV = "x: f32[batch, 4, 8, 8]\nw: const f32[4, 4, 1, 1]\nb: const f32[4]\n"
RELU = CONV + "c = nn.conv(x, w, b)\ny = nn.relu(c)"


def rule(match, rewrite):
    lines = ["rule r on fx, onnx:", "    match:", *(f"        {m}" for m in match.splitlines())]
    return "\n".join([*lines, "    rewrite:", *(f"        {r}" for r in rewrite.splitlines())])


def taken(w: Array) -> Array:
    return w[:1]


def refused(graph, text):
    """What is said of a rule that is applied to the last operator, which leaves the graph alone."""
    before = print_graph(graph, TABLE, weights=True)
    matcher = Matcher(book := book_of(text, taken=taken), TABLE)
    found = matcher.first(r := book.find("r"), graph.outputs[0].producer)
    with pytest.raises(PatternError) as caught:
        apply(r, found, matcher)
    assert print_graph(graph, TABLE, weights=True) == before
    graph.verify()
    return caught.value


@pytest.mark.parametrize("level", ["fx", "onnx"])
@pytest.mark.parametrize(
    ("rewrite", "given"),
    [
        ('y = nn.cast(nn.relu(c), to="f16")', "f16[batch, 4, 8, 8]"),
        ("y = nn.conv(x, w, b, strides=[2, 2])", "f32[batch, 4, 4, 4]"),
        ("y = nn.reduce_mean(c, axes=[3], keepdims=false)", "f32[batch, 4, 8]"),
        ("y = nn.conv(x, @taken(w))", "f32[batch, 1, 8, 8]"),
        ("y = w", "f32[4, 4, 1, 1]"),
    ],
)
def test_another_type_is_refused(level, rewrite, given):
    graph = graph_of(RELU, level)
    error = refused(graph, rule("c = nn.conv(x, w: const, b)\ny = nn.relu(c)", rewrite))
    assert error.message == f"rule r gives {given} for f32[batch, 4, 8, 8] at y"
    assert (error.span.line, error.span.column) == (6, 9)


def test_a_size_that_is_free_may_not_become_a_number():
    graph = graph_of("x: f32[batch, 4]\nz: f32[1, 4]\ny = nn.sub(x, z)", "fx")
    error = refused(graph, rule("y = nn.sub(x, z)", "y = nn.relu(z)"))
    assert "gives f32[1, 4] for f32[batch, 4]" in error.message


@pytest.mark.parametrize(
    "rewrite",
    ["y = nn.linear(w, x)", "t = nn.matmul(b, w)\ny = nn.relu(t)"],
)
def test_operands_that_do_not_go_together_are_refused_where_they_meet(rewrite):
    graph = graph_of(RELU, "fx")
    error = refused(graph, rule("c = nn.conv(x, w: const, b)\ny = nn.relu(c)", rewrite))
    assert "which do not go together" in error.message and error.hint.startswith("torch: ")


def test_a_scale_of_rank_four_is_no_scale_of_a_group_norm():
    text = "x: f32[2, 4, 8, 8]\ng: const f32[1, 4, 1, 1]\nb: const f32[1, 4, 1, 1]\n"
    graph = graph_of(text + "a = nn.mul(x, g)\ny = nn.add(a, b)", "fx")
    match = "a = nn.mul(x, g: const)\ny = nn.add(a, b: const)"
    error = refused(graph, rule(match, "y = nn.group_norm(x, g, b, num_groups=2)"))
    assert "nn.group_norm" in error.message and "do not go together" in error.message


def test_the_same_type_written_otherwise_is_the_same():
    graph = graph_of("x: f32[h, 4]\ny = nn.exp(x)", "fx")
    graph.value("y").type = written = TensorType("f32", ("2*h - h", 4))
    assert run(graph, rule("y = nn.exp(x)", "y = nn.tanh(x)")) == ["r"]
    assert graph.value("y").type == written


def test_what_nobody_can_tell_is_believed_and_said():
    graph = graph_of("x: f32[2, 4]\ny = nn.add(x, x)", "onnx")
    graph.value("x").type = TensorType()
    matcher = Matcher(book := book_of(rule("y = nn.add(x, x)", "y = nn.mul(x, x)")), TABLE)
    change = apply(r := book.find("r"), matcher.first(r, graph.value("y").producer), matcher)
    assert change.untyped == ("y",)
    assert graph.value("y").type == TensorType("f32", (2, 4))
