"""Writing ONNX: names, outputs, subgraphs, opsets, memory."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph, Origin, TensorType
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.adapter import read_onnx, write_onnx
from sparqc.ir.onnx.native import OnnxNative
from sparqc.ir.text.print import parse_statements, print_graph
from sparqc.ir.vocabulary.table import OperatorTable, default_table
from tests.ir.onnx_models import branching, model

TABLE = default_table()
NODE = helper.make_node
F4 = TensorType("f32", ("batch", 4))


def written(graph, **more):
    """The model of a graph, which onnx's checker accepts."""
    made = write_onnx(graph, TABLE, **more)
    onnx.checker.check_model(made, full_check=True)
    return made


def calls(made):
    return [(n.op_type, list(n.input), list(n.output)) for n in made.graph.node]


def statements(text, **more):
    return parse_statements(text, TABLE, "onnx", {"x": F4}, **more)


def test_nodes_are_named_after_what_they_define():
    made = written(statements("h = nn.relu(x)\ny = nn.neg(h)"))
    assert [n.name for n in made.graph.node] == ["h", "y"]


def test_inputs_outputs_and_symbolic_dimensions_keep_their_names():
    made = written(statements("y = nn.relu(x)\nreturn y as scores"))
    assert calls(made) == [("Relu", ["x"], ["scores"])]
    (batch, _) = made.graph.output[0].type.tensor_type.shape.dim
    assert batch.dim_param == "batch"


def test_a_dimension_without_a_name_gets_none():
    graph = read_onnx(model([NODE("Relu", ["x"], ["y"])], inputs={"x": [None, 4]}), TABLE)
    (free, _) = written(graph).graph.input[0].type.tensor_type.shape.dim
    assert not free.HasField("dim_param")


def test_a_value_that_took_the_place_of_an_output_takes_its_name():
    graph = statements("h = nn.relu(x)\ny = nn.identity(h)\nreturn y")
    graph.replace(graph.value("y"), graph.value("h"))
    graph.drop_dead()
    assert calls(written(graph)) == [("Relu", ["x"], ["y"])]


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("return x as y", ("Identity", ["x"], ["y"])),
        ("h = nn.relu(x)\nreturn h as y, h as z", ("Identity", ["y"], ["z"])),
        ("w: const f32[2] = [1.0, 2.0]\nreturn w as y", ("Identity", ["w"], ["y"])),
    ],
)
def test_an_output_that_is_something_else_too_is_an_identity(text, last):
    assert calls(written(statements("x: f32[batch, 4]\n" + text)))[-1] == last


def test_the_name_of_an_output_belongs_to_it():
    """A value that nothing outputs gives way."""
    graph = statements("y = nn.relu(x)\nz = nn.neg(y)\nreturn z as y")
    assert calls(written(graph)) == [("Relu", ["x"], ["y_1"]), ("Neg", ["y_1"], ["y"])]


def test_constants_survive_by_content():
    arrays = [
        np.float32([[1, np.nan], [np.inf, -0.0]]), np.float16([1.5]), np.float64(0.1),
        np.int64([]), np.int8([-128, 127]), np.uint8([255]), np.array([True, False]),
    ]  # fmt: skip
    graph = Graph("onnx", native=OnnxNative({"": 21}))
    for index, array in enumerate(arrays):
        value = graph.constant(array, f"c{index}")
        graph.create("nn.identity", {"x": value}, types=[value.type], names=[f"y{index}"])
    graph.set_outputs([n.output for n in graph.nodes])
    tensors = {t.name: numpy_helper.to_array(t) for t in written(graph).graph.initializer}
    for index, array in enumerate(arrays):
        assert tensors[f"c{index}"].dtype == array.dtype
        assert tensors[f"c{index}"].tobytes() == array.tobytes()


def test_metadata_comes_back():
    made = model([NODE("Relu", ["x"], ["y"])])
    made.metadata_props.add(key="author", value="me")
    again = written(read_onnx(made, TABLE))
    assert [(p.key, p.value) for p in again.metadata_props] == [("author", "me")]
    assert again.producer_name == "sparqc"


def test_a_second_writing_gives_the_same_bytes():
    graph = statements("w: const f32[4, 4]\nh = nn.linear(x, w)\ny = nn.gelu(h)")
    assert (
        write_onnx(graph, TABLE).SerializeToString() == write_onnx(graph, TABLE).SerializeToString()
    )


# -- opaque operators and subgraphs --------------------------------------------------------------

OPAQUE = [
    [NODE("Selu", ["x"], ["y"], gamma=2.0)],
    [NODE("Einsum", ["x", "x"], ["y"], equation="ij,ij->ij")],
    [NODE("GRU", ["u", "w", "r", "", "", ""], ["", "y"], hidden_size=1)],
    [NODE("Up", ["x", "", "x"], ["y"], domain="my.domain", factor=2, modes=["a", "b"])],
    [NODE("ConstantOfShape", ["n"], ["y"], value=numpy_helper.from_array(np.float32([7])))],
]


@pytest.mark.parametrize("nodes", OPAQUE, ids=lambda nodes: nodes[0].op_type)
def test_an_opaque_operator_passes_through(nodes):
    made = model(
        nodes,
        {"w": np.ones((1, 3, 5), np.float32), "r": np.ones((1, 3, 1), np.float32),
         "n": np.int64([2, 2])},
        inputs={"x": ["batch", 4], "u": [3, 2, 5]},
        outputs={"y": [None] * (3 if nodes[0].op_type == "GRU" else 2)},
        more_opsets={"my.domain": 3},
    )  # fmt: skip
    graph = read_onnx(made, OperatorTable())
    again = write_onnx(graph, OperatorTable())
    (before,), (after,) = made.graph.node, again.graph.node
    trimmed = list(before.input)[:3] if before.op_type == "GRU" else list(before.input)
    assert (after.op_type, after.domain, list(after.input)) == (
        before.op_type, before.domain, trimmed,
    )  # fmt: skip
    assert list(after.output) == list(before.output)
    given = {a.name: helper.get_attribute_value(a) for a in after.attribute}
    for attribute in before.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, TensorProto):
            assert np.array_equal(*map(numpy_helper.to_array, (given[attribute.name], value)))
        else:
            assert given[attribute.name] == value
    assert print_graph(read_onnx(again, OperatorTable())) == print_graph(graph)


def test_an_empty_list_attribute_is_written():
    node = NODE("Up", ["x"], ["y"], domain="my.domain")
    node.attribute.append(helper.make_attribute("sizes", [], attr_type=7))
    made = model([node], more_opsets={"my.domain": 1})
    (again,) = write_onnx(read_onnx(made, TABLE), TABLE).graph.node
    assert helper.get_attribute_value(again.attribute[0]) == []


def run(made, *arrays):
    return open_runner(read_onnx(made, TABLE), TABLE).run(arrays)[0]


@pytest.mark.parametrize(("sign", "expected"), [(1, [3, 4, 5, 6]), (-1, [-2, -4, -6, -8])])
def test_subgraphs_still_find_what_they_read(sign, expected):
    again = written(read_onnx(branching(), TABLE))
    assert run(again, sign * np.float32([[1, 2, 3, 4]]))[0].tolist() == [expected]


def test_subgraphs_follow_a_replaced_value():
    graph = read_onnx(branching(), TABLE)
    h = graph.value("h")
    neg = graph.create("nn.neg", {"x": graph.value("x")}, types=[h.type], before=h.producer)
    graph.replace(h, neg.output)
    graph.drop_dead()
    x = np.float32([[1, 2, 3, 4]])
    (y,), _ = open_runner(graph, TABLE).run([x])
    assert y.tolist() == (2 - x).tolist()
    onnx.checker.check_model(write_onnx(graph, TABLE), full_check=True)


def test_names_inside_a_subgraph_are_not_given_away():
    graph = read_onnx(branching(), TABLE)
    h = graph.value("h")
    other = graph.create(
        "nn.neg", {"x": graph.value("x")}, types=[h.type], names=["t"], before=h.producer
    )  # "t" is what the first branch calls its result
    graph.replace(h, other.output)
    (y,), _ = open_runner(graph, TABLE).run([np.float32([[1, 2, 3, 4]])])
    assert y.tolist() == [[1, 0, -1, -2]]


# -- opsets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [13, 17, 18, 20, 21])
def test_a_graph_can_be_written_in_another_opset(opset):
    graph = statements(
        """
        a = nn.reduce_mean(x, axes=[1], keepdims=true)
        b = nn.sub(x, a)
        scale: const f32[] = 0.1
        c = q.qdq(b, scale)
        y = nn.softmax(c, axis=1)
        """
    )
    made = written(graph, opset=opset)
    assert made.opset_import[0].version == opset
    x = np.float32([[1, -2, 3, 4]])
    assert np.allclose(run(made, x)[0], run(written(graph), x)[0], atol=1e-6)


def test_an_opaque_operator_that_changed_since_is_not_written_in_another_opset():
    made = model([NODE("Mod", ["x", "x"], ["y"], fmod=1)], opset=20)
    graph = read_onnx(made, OperatorTable())
    assert write_onnx(graph, OperatorTable(), opset=13).opset_import[0].version == 13
    made = model([NODE("Pad", ["x", "p"], ["y"])], {"p": np.zeros(4, np.int64)}, opset=20)
    graph = read_onnx(made, OperatorTable())
    with pytest.raises(SparqcError, match=r"onnx.Pad 'y' is of opset 20 and cannot be written"):
        write_onnx(graph, OperatorTable(), opset=13)


def test_an_operator_without_a_form_is_named_with_its_place():
    graph = Graph("onnx")
    x = graph.add_input("x", F4)
    graph.create("aten.roll.default", {"self": x}, origin=Origin("blocks.0", "model.py:7"))
    with pytest.raises(SparqcError) as caught:
        write_onnx(graph, TABLE)
    assert "aten.roll.default has no form in ONNX (in blocks.0 at model.py:7)" in str(caught.value)


def test_a_quantizer_without_a_scale_is_not_written():
    graph = statements("s: const f32[] = nan\ny = q.qdq(x, s)")
    with pytest.raises(SparqcError, match="no scale"):
        write_onnx(graph, TABLE)
