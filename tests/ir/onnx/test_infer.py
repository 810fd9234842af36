"""Types of single new nodes on ONNX graphs."""

import pytest

from sparqc.ir.graph import TensorType
from sparqc.ir.levels.infer import infer_types
from sparqc.ir.text.print import parse_statements
from sparqc.ir.vocabulary.table import default_table

TABLE = default_table()


def inferred(text, opset=20):
    graph = parse_statements(text, TABLE, "onnx", opset=opset)
    return [v.type for v in graph.outputs]


def test_symbolic_dimensions_keep_their_names():
    assert inferred("x: f32[batch, 3, h, w]\ny = nn.global_average_pool(x)") == [
        TensorType("f32", ("batch", 3, 1, 1))
    ]


def test_a_dimension_that_cannot_be_told_has_a_name_of_its_own():
    (first, second) = inferred("a: f32[n, 2]\nb: f32[m, 2]\nc = nn.concat(a, b, axis=0)\n"
                               "d = nn.concat(b, a, axis=0)")  # fmt: skip
    assert first.shape[1] == second.shape[1] == 2
    assert first.shape[0] != second.shape[0]


def test_shapes_are_read_from_constants():
    assert inferred("x: f32[4, 6]\ns: const i64[2] = [8, -1]\ny = nn.reshape(x, s)") == [
        TensorType("f32", (8, 3))
    ]


def test_several_outputs():
    assert inferred("x: f32[2, 5]\na, b = nn.split(x, sizes=[2, 3], axis=1)") == [
        TensorType("f32", (2, 2)),
        TensorType("f32", (2, 3)),
    ]


def test_an_operator_that_is_written_as_several_nodes():
    assert inferred("x: f32[2, 3, 8]\nw: const f32[4, 8]\nb: const f32[4]\n"
                    "y = nn.linear(x, w, b)") == [TensorType("f32", (2, 3, 4))]  # fmt: skip


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_each_opset_is_asked_in_its_own_terms(opset):
    assert inferred("x: f32[2, 3]\ny = nn.reduce_mean(x, axes=[1], keepdims=false)", opset) == [
        TensorType("f32", (2,))
    ]


@pytest.mark.parametrize(
    "text",
    [
        "y = nn.relu(x)",  # of an input of which nothing is known
        "x: f32[2, 3]\nw: const f32[4, 4]\ny = nn.matmul(x, w)",  # that does not fit
        "x: f32[2]\ny = onnx.my.domain.Up(x)",  # that nobody knows
    ],
)
def test_what_cannot_be_told_stays_unknown(text):
    assert inferred(text) == [TensorType()]


def test_a_quantizer_has_the_type_of_its_input():
    graph = parse_statements(
        "x: f16[batch, 4]\ns: const f16[] = nan\ny = q.qdq(x, s)", TABLE, "onnx"
    )
    (node,) = graph.nodes
    infer_types(graph, node, TABLE)
    assert node.output.type == TensorType("f16", ("batch", 4))
