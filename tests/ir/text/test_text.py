"""Dump text: what it looks like, that it parses back, and what its errors say."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqc.errors import PatternError
from sparqc.ir.fx.adapter import read_fx
from sparqc.ir.graph import Graph, Origin, TensorType
from sparqc.ir.onnx.native import OnnxNative
from sparqc.ir.text.print import (
    content_hash,
    parse_graph,
    parse_statements,
    print_graph,
    print_node,
)
from sparqc.ir.text.tokens import Absent
from sparqc.ir.vocabulary.table import default_table
from tests.ir.models import exported
from tests.ir.strategies import graphs

TABLE = default_table()
ROWS = tuple(TABLE.require(n) for n in TABLE.names)


def small_graph() -> Graph:
    """A convolution and its activation, as a person would draw it."""
    graph = Graph("onnx", "small", native=OnnxNative({"": 20}))
    x = graph.add_input("x", TensorType("f32", ("batch", 3, 8, 8)))
    w = graph.constant(np.arange(216, dtype=np.float32).reshape(8, 3, 3, 3), "conv.weight")
    conv = graph.create(
        "nn.conv",
        {"x": x, "w": w, "b": graph.constant(np.float32([0.1, -1, *[0] * 6]), "conv.bias")},
        {"strides": (2, 2), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1},
        types=[TensorType("f32", ("batch", 8, 4, 4))],
        origin=Origin("stem.conv", "model.py:12", ("fold.spq:3 fold_batch_norm",)),
    )
    relu = graph.create("nn.relu", {"x": conv.output}, types=[conv.output.type], names=["/r/1"])
    graph.set_outputs([relu.output, x], ["output", "x"])
    return graph


SMALL = """\
graph small on onnx 20 (x: f32[batch, 3, 8, 8]) -> (output, x):
    conv.weight: const f32[8, 3, 3, 3] = #%s
    conv.bias: const f32[8] = [0.1, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    conv = nn.conv(x, conv.weight, conv.bias, strides=[2, 2], pads=[1, 1, 1, 1]) : \
f32[batch, 8, 4, 4]  # stem.conv model.py:12 by fold.spq:3 fold_batch_norm
    "/r/1" = nn.relu(conv) : f32[batch, 8, 4, 4]
    return "/r/1" as output, x
"""


def test_a_graph_is_printed_line_by_line():
    graph = small_graph()
    assert print_graph(graph) == SMALL % content_hash(graph.value("conv.weight").data)


def test_a_node_is_one_line():
    node = next(iter(small_graph().nodes))
    line = print_node(node, origins=False)
    assert line.startswith("conv = nn.conv(x, conv.weight, conv.bias, strides=[2, 2], pads=")
    assert line.endswith(" : f32[batch, 8, 4, 4]")


def test_weights_can_be_printed_in_full():
    text = print_graph(small_graph(), weights=True)
    (weight,) = (v for v in parse_graph(text).constants if v.name == "conv.weight")
    assert np.array_equal(weight.data, np.arange(216, dtype=np.float32).reshape(8, 3, 3, 3))


def test_a_large_constant_is_known_by_its_hash():
    weight = parse_graph(print_graph(small_graph())).value("conv.weight")
    assert isinstance(weight.data, Absent)
    assert weight.type == TensorType("f32", (8, 3, 3, 3))


def test_a_large_constant_can_be_handed_in():
    array = np.arange(216, dtype=np.float32).reshape(8, 3, 3, 3)
    graph = parse_graph(print_graph(small_graph()), weights={content_hash(array): array})
    assert graph.value("conv.weight").data is array


def test_a_hash_tells_type_shape_and_content():
    ones = np.ones((2, 2), np.float32)
    others = [ones.reshape(4), ones.astype(np.float64), ones * 2, ones[:1]]
    assert len({content_hash(a) for a in [ones, *others]}) == 5
    assert content_hash(ones) == content_hash(np.asfortranarray(ones))


def test_what_is_read_comes_back_whole():
    graph, again = small_graph(), parse_graph(print_graph(small_graph()))
    again.verify()
    (conv, _), (conv2, relu2) = graph.nodes, again.nodes
    assert conv2.attributes == conv.attributes
    assert conv2.origin == conv.origin
    assert list(conv2.operands) == ["x", "w", "b"]
    assert relu2.output.name == "/r/1"
    assert again.output_names == ["output", "x"]
    assert again.native.opsets == {"": 20}


@given(st.sampled_from(["fx", "onnx"]).flatmap(lambda level: graphs(level, ROWS)))
@settings(max_examples=150)
def test_parsing_gives_a_graph_that_prints_the_same(graph):
    text = print_graph(graph, TABLE)
    again = parse_graph(text, TABLE)
    again.verify()
    assert print_graph(again, TABLE) == text
    assert [n.origin for n in again.nodes] == [n.origin for n in graph.nodes]


def test_the_dump_of_a_real_model_parses_back():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3), torch.nn.BatchNorm2d(16), torch.nn.SiLU(), torch.nn.Flatten()
    )
    text = print_graph(read_fx(exported(model, torch.randn(2, 3, 8, 8)), TABLE))
    assert print_graph(parse_graph(text)) == text
    assert '"0.weight": const f32[16, 3, 3, 3] = #' in text


def test_a_raw_torch_call_parses_back():
    class Odd(torch.nn.Module):
        def forward(self, x):
            return torch.special.entr(x).view(x.shape[0] * 4, -1, 2)[:, [0]]

    text = print_graph(read_fx(exported(Odd(), torch.rand(2, 8)), TABLE))
    assert "aten." in text
    assert print_graph(parse_graph(text)) == text


# -- statements ----------------------------------------------------------------------------------


def test_names_that_are_not_defined_are_inputs():
    graph = parse_statements("s = nn.add(x, y)\nr = nn.relu(s)")
    assert [v.name for v in graph.inputs] == ["x", "y"]
    assert [v.name for v in graph.outputs] == ["r"]


@pytest.mark.parametrize("level", ["fx", "onnx"])
def test_types_are_inferred(level):
    graph = parse_statements(
        """
        x: f32[batch, 16, 8, 8]
        w: const f32[4, 16, 3, 3]
        c = nn.conv(x, w, strides=[2, 2])   # a comment
        p = nn.global_average_pool(c)
        """,
        level=level,
    )
    assert [n.output.type for n in graph.nodes] == [
        TensorType("f32", ("batch", 4, 3, 3)),
        TensorType("f32", ("batch", 4, 1, 1)),
    ]


def test_a_declared_constant_is_random_but_always_the_same():
    text = "w: const f32[4, 4, 3, 3]\nv: const f32[64]\ny = nn.conv(x, w, v)"
    first, again = parse_statements(text), parse_statements(text)
    for name in "wv":
        assert np.array_equal(first.value(name).data, again.value(name).data)
    assert first.value("w").data.min() < 0
    assert first.value("v").data.min() >= 0.5  # fit for a variance


def test_a_constant_may_be_written_out():
    graph = parse_statements("w: const f16[2, 2] = [[1.0, 2.5], [inf, -0.0]]\ny = nn.neg(w)")
    assert graph.value("w").data.dtype == np.float16
    assert graph.value("w").data.tolist() == [[1, 2.5], [np.inf, 0]]


def test_a_number_is_a_constant_of_the_others_dtype():
    graph = parse_statements("x: f16[2]\ny = nn.mul(x, 0.5)")
    (constant,) = graph.constants
    assert constant.data == np.float16(0.5)
    assert constant.type == TensorType("f16", ())


def test_calls_may_be_nested_and_go_over_lines():
    graph = parse_statements("y = nn.mul(\n    x,\n    nn.sigmoid(x)\n)")
    assert [n.op for n in graph.nodes] == ["nn.sigmoid", "nn.mul"]


def test_optional_operands_and_attributes_get_their_defaults():
    (node,) = parse_statements("w: const f32[4, 4, 1, 1]\ny = nn.conv(x, w)").nodes
    assert node.operands["b"] is None
    assert node.attributes["strides"] == (1, 1)


def test_variadic_operands_stand_one_by_one():
    (node,) = parse_statements("y = nn.concat(a, b, c, axis=1)").nodes
    assert [v.name for v in node.operands["xs"]] == ["a", "b", "c"]


ERRORS = [
    ("y = nn.rleu(x)", "unknown operator 'nn.rleu'", 1, 5, "did you mean 'nn.relu'"),
    ("y = nn.relu(x, slope=1)", "nn.relu has no attribute 'slope'", 1, 16, ""),
    ("y = nn.relu(x, y2)", "nn.relu takes 1 operands at most", 1, 5, ""),
    ("y = nn.conv(x)", "nn.conv needs its operand 'w'", 1, 5, ""),
    ("y = nn.concat(x)", "nn.concat needs its attribute 'axis'", 1, 5, ""),
    ("y = nn.relu(x)\ny = nn.relu(x)", "'y' is already defined", 2, 1, ""),
    ("y = nn.relu(x", "the end of the line is too early", 1, 13, ""),
    ("y = nn.relu(x) ~", "this character does not belong here", 1, 16, ""),
    ("w: const f32[n]\ny = nn.neg(w)", "a constant needs a dtype and a shape", 1, 1, ""),
    ("w: const f32[2] = [1.0]", "the elements do not fit the type", 1, 1, ""),
    ("w: const i8[1] = [300]", "the elements do not fit the type", 1, 1, ""),
    ("w: const i64[1] = [1.5]", "the elements do not fit the type", 1, 1, ""),
    ("return x\ny = nn.relu(x)", "nothing comes after `return`", 2, 1, ""),
    ("a, b = nn.relu(x) : f32[1]", "one type for each output", 1, 8, ""),
]


@pytest.mark.parametrize(("text", "message", "line", "column", "hint"), ERRORS)
def test_an_error_shows_the_place(text, message, line, column, hint):
    with pytest.raises(PatternError) as caught:
        parse_statements(text, file="my.spq")
    span = caught.value.span
    assert caught.value.message.startswith(message)
    assert (span.file, span.line, span.column) == ("my.spq", line, column)
    assert span.text == text.splitlines()[line - 1]
    assert hint in caught.value.hint


def test_lines_count_from_where_the_statements_start():
    with pytest.raises(PatternError) as caught:
        parse_statements("y = nn.rleu(x)", first_line=41)
    assert caught.value.span.line == 41


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("conv.weight, conv.b", "conv.wieght, conv.b"), "'conv.wieght' is not"),
        (lambda t: t.replace("-> (output, x)", "-> (y)"), "the first line and `return` name"),
        (lambda t: t.split("\n", 1)[1], "a graph starts with one line"),
        (lambda t: t.replace("on onnx 20", "on tflite"), "a graph is on fx or on onnx"),
        (lambda t: t.replace(" = [0.1", " #"), "this constant has no content"),
    ],
)
def test_a_graph_that_does_not_hold_together_is_refused(change, message):
    with pytest.raises(PatternError, match=f"{message}".replace("(", r"\(")):
        parse_graph(change(print_graph(small_graph())))
