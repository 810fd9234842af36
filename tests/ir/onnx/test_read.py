"""Reading ONNX: names, types, constants, the vocabulary, and what is opaque."""

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from onnx import TensorProto, helper, numpy_helper

from sparqc.errors import SparqcError
from sparqc.ir.graph import Origin, TensorType
from sparqc.ir.onnx.adapter import read_onnx
from sparqc.ir.vocabulary.table import OperatorTable, default_table
from tests.ir.onnx_models import branching, model

TABLE = default_table()
#: Without rows every operator is opaque.
NO_TABLE = OperatorTable()
NODE = helper.make_node


def read(*nodes, table=TABLE, **more):
    graph = read_onnx(model(nodes, **more), table)
    graph.verify()
    return graph


def only(graph):
    (node,) = graph.nodes
    return node


def test_tensors_keep_their_names():
    graph = read(NODE("Relu", ["x"], ["/a/h"]), NODE("Neg", ["/a/h"], ["y"]))
    assert [n.output.name for n in graph.nodes] == ["/a/h", "y"]
    assert [v.name for v in graph.inputs] == ["x"]
    assert graph.output_names == ["y"]


def test_operators_are_read_in_the_vocabulary():
    node = only(read(NODE("LeakyRelu", ["x"], ["y"], alpha=0.1)))
    assert node.op == "nn.leaky_relu"
    assert node.attributes == {"alpha": 0.1}  # not 0.10000000149011612


def test_missing_types_are_inferred():
    graph = read(
        NODE("Relu", ["x"], ["h"]),
        NODE("Unsqueeze", ["h", "axes"], ["u"]),
        NODE("Squeeze", ["u", "axes"], ["y"]),
        constants={"axes": np.int64([1])},
    )
    assert graph.value("u").type == TensorType("f32", ("batch", 1, 4))


def test_an_unknown_dimension_equals_no_other():
    graph = read(NODE("Add", ["x", "z"], ["y"]), inputs={"x": [None, 4], "z": [None, 4]})
    x, z = graph.inputs
    assert x.shape[0] != z.shape[0]
    assert x.shape[1] == z.shape[1] == 4


def test_a_constant_node_is_a_constant():
    value = numpy_helper.from_array(np.float32([1, 2, 3, 4]))
    for attributes in ({"value": value}, {"value_floats": [1.0, 2.0, 3.0, 4.0]}):
        graph = read(NODE("Constant", [], ["c"], **attributes), NODE("Add", ["x", "c"], ["y"]))
        assert graph.value("c").data.tolist() == [1, 2, 3, 4]
        assert graph.value("c").data.dtype == np.float32


def test_an_initializer_is_not_copied_twice():
    weight = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    value = read(NODE("MatMul", ["x", "w"], ["y"]), constants={"w": weight}).value("w")
    assert np.array_equal(value.data, weight)
    assert not value.data.flags.owndata  # a view of the bytes in the model


def test_what_nothing_reads_is_left_out():
    graph = read(
        NODE("Relu", ["x"], ["y"]), NODE("Neg", ["x"], ["n"]), constants={"w": np.zeros(3)}
    )
    assert [n.op for n in graph.nodes] == ["nn.relu"]
    assert list(graph.constants) == []


def test_a_computed_shape_with_one_free_dimension_is_a_constant():
    graph = read(
        NODE("Shape", ["x"], ["s"]),
        NODE("Gather", ["s", "zero"], ["n"], axis=0),
        NODE("Concat", ["n", "rest"], ["shape"], axis=0),
        NODE("Reshape", ["x", "shape"], ["y"], allowzero=1),
        constants={"zero": np.int64([0]), "rest": np.int64([2, 2])},
        outputs={"y": ["batch", 2, 2]},
    )
    node = only(graph)
    assert node.op == "nn.reshape"
    assert node.operands["shape"].data.tolist() == [-1, 2, 2]


@pytest.mark.parametrize("names", [("k", "x"), ("x", "k")])
def test_operands_that_commute_have_one_order(names):
    node = only(read(NODE("Add", names, ["y"]), constants={"k": np.float32([1])}))
    assert [v.name for v in node.operands.values()] == ["x", "k"]


@pytest.mark.parametrize("names", [("h", "x"), ("x", "h")])
def test_what_is_defined_earlier_stands_first(names):
    *_, node = read(NODE("Relu", ["x"], ["h"]), NODE("Mul", names, ["y"])).nodes
    assert [v.name for v in node.operands.values()] == ["x", "h"]


def test_nodes_may_stand_in_any_order():
    graph = read(NODE("Relu", ["h"], ["y"]), NODE("Neg", ["x"], ["h"]))
    assert [n.op for n in graph.nodes] == ["nn.neg", "nn.relu"]


# -- opaque operators ----------------------------------------------------------------------------


def test_an_operator_outside_the_table_is_opaque():
    node = only(read(NODE("Selu", ["x"], ["y"], gamma=2.0), table=NO_TABLE))
    assert node.op == "onnx.Selu"
    assert list(node.operands) == ["X"]
    assert node.attributes == {"alpha": 1.6732632, "gamma": 2.0}  # the schema's default too


def test_operands_of_an_opaque_operator_follow_its_schema():
    graph = read(
        NODE("Einsum", ["x", "x"], ["h"], equation="ij,ij->ij"),
        NODE("GRU", ["u", "w", "r"], ["", "last"], hidden_size=1),
        NODE("Add", ["h", "h"], ["y"]),
        inputs={"x": ["batch", 4], "u": [3, 2, 5]},
        constants={"w": np.zeros((1, 3, 5), np.float32), "r": np.zeros((1, 3, 1), np.float32)},
        outputs={"y": ["batch", 4], "last": [1, 2, 1]},
        table=NO_TABLE,
    )
    einsum, gru, _ = graph.nodes
    assert [v.name for v in einsum.operands["Inputs"]] == ["x", "x"]
    assert list(gru.operands) == ["X", "W", "R", "B", "sequence_lens", "initial_h"]
    assert gru.operands["B"] is None
    assert [v.name for v in gru.outputs][1:] == ["last"]


def test_an_operator_of_another_domain_has_numbered_operands():
    graph = read(
        NODE("Up", ["x", "", "x"], ["y"], domain="my.domain", factor=2),
        more_opsets={"my.domain": 3},
    )
    node = only(graph)
    assert node.op == "onnx.my.domain.Up"
    assert {k: v and v.name for k, v in node.operands.items()} == {"i0": "x", "i1": None, "i2": "x"}
    assert node.attributes == {"factor": 2}
    assert graph.native.opsets == {"": 20, "my.domain": 3}


def test_an_optional_output_that_nothing_reads_is_left_out():
    graph = read(NODE("MaxPool", ["x"], ["y", "where"], kernel_shape=[1]),
                 inputs={"x": [1, 1, 4]}, outputs={"y": [1, 1, 4]})  # fmt: skip
    assert only(graph).op == "nn.max_pool"


def test_an_optional_output_that_is_read_makes_the_operator_opaque():
    graph = read(
        NODE("MaxPool", ["x"], ["y", "where"], kernel_shape=[1]),
        NODE("Cast", ["where"], ["z"], to=TensorProto.FLOAT),
        inputs={"x": [1, 1, 4]},
        outputs={"y": [1, 1, 4], "z": [1, 1, 4]},
    )
    assert [n.op for n in graph.nodes] == ["onnx.MaxPool", "nn.cast"]


def test_what_a_subgraph_reads_counts_as_read():
    graph = read_onnx(branching(), TABLE)
    graph.verify()
    node = graph.outputs[0].producer
    assert node.op == "onnx.If"
    assert [v.name for v in node.operands["captured"]] == ["x", "k", "h"]
    assert graph.value("k").is_const
    assert set(node.attributes) == {"then_branch", "else_branch"}


def test_a_subgraph_may_read_an_initializer_before_the_nodes_do():
    made = branching()
    made.graph.output[0].name = "z"
    made.graph.node.append(NODE("Sub", ["y", "k"], ["z"]))
    graph = read_onnx(made, TABLE)
    graph.verify()
    *_, branch, subtraction = graph.nodes
    assert branch.op == "onnx.If"
    assert subtraction.operands["b"] is branch.operands["captured"][1] is graph.value("k")


# -- models of other kinds -----------------------------------------------------------------------


def test_an_old_opset_is_converted():
    graph = read(NODE("Squeeze", ["x"], ["y"], axes=[1]), inputs={"x": ["batch", 1]},
                 outputs={"y": ["batch"]}, opset=11)  # fmt: skip
    assert graph.native.opsets[""] == 13
    assert only(graph).op == "nn.squeeze"


def test_functions_of_the_model_are_inlined():
    made = model([NODE("Twice", ["x"], ["y"], domain="mine")], more_opsets={"mine": 1})
    made.functions.append(
        helper.make_function(
            "mine", "Twice", ["a"], ["b"], [NODE("Add", ["a", "a"], ["b"])],
            [helper.make_opsetid("", 20)],
        )
    )  # fmt: skip
    assert [n.op for n in read_onnx(made, TABLE).nodes] == ["nn.add"]


def test_a_graphsurgeon_graph_is_read_as_well():
    x = gs.Variable("x", np.float32, ("batch", 4))
    y = gs.Variable("y")
    surgeon = gs.Graph([gs.Node("Relu", inputs=[x], outputs=[y])], [x], [y], opset=17)
    graph = read_onnx(surgeon, TABLE)
    assert graph.value("y").type == TensorType("f32", ("batch", 4))
    assert graph.native.opsets[""] == 17


def test_metadata_stays_with_the_graph():
    made = model([NODE("Relu", ["x"], ["y"])])
    made.metadata_props.add(key="author", value="me")
    made.doc_string = "a model"
    native = read_onnx(made, TABLE).native
    assert native.metadata == (("author", "me"),)
    assert native.doc == "a model"


def test_a_node_says_where_it_comes_from():
    assert only(read(NODE("Relu", ["x"], ["y"], name="/act/Relu"))).origin == Origin("/act/Relu")
    node = NODE("Relu", ["x"], ["y"])
    scopes = "['', 'layer1', 'layer1.act', 'relu']"
    trace = 'File "/home/me/net.py", line 7, in forward\n  File "/x/torch/nn/act.py", line 3, in f'
    node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
    node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=trace)
    assert only(read(node)).origin == Origin("layer1.act", "net.py:7")


def test_bfloat16_and_four_bit_constants_are_read():
    packed = helper.make_tensor("p", TensorProto.INT4, [4], [1, -2, 3, -8])
    brain = helper.make_tensor("b", TensorProto.BFLOAT16, [2], [1.5, -2.0])
    made = model(
        [
            NODE("Cast", ["p"], ["pf"], to=TensorProto.FLOAT),
            NODE("Cast", ["b"], ["bf"], to=TensorProto.FLOAT),
            NODE("Add", ["x", "pf"], ["y"]),
            NODE("Neg", ["bf"], ["z"]),
        ],
        outputs={"y": ["batch", 4], "z": [2]},
        opset=21,
    )
    made.graph.initializer.extend([packed, brain])
    graph = read_onnx(made, TABLE)
    assert graph.value("p").data.astype(int).tolist() == [1, -2, 3, -8]
    assert graph.value("b").type == TensorType("bf16", (2,))


# -- refusals ------------------------------------------------------------------------------------


def test_an_attribute_that_would_be_lost_is_refused():
    node = NODE("Optional", [], ["o"])
    node.attribute.append(
        helper.make_attribute("type", helper.make_tensor_type_proto(TensorProto.FLOAT, [1]))
    )
    with pytest.raises(
        SparqcError, match="Optional 'o' has an attribute 'type' of kind type_proto"
    ):
        read(node, NODE("Relu", ["x"], ["y"]))


def test_sparse_initializers_are_refused():
    made = model([NODE("Add", ["x", "s"], ["y"])])
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [2])
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    with pytest.raises(SparqcError, match="sparse initializers"):
        read_onnx(made, TABLE)


def test_a_damaged_initializer_is_refused():
    made = model([NODE("Add", ["x", "k"], ["y"])], {"k": np.float32([1, 2, 3, 4])})
    made.graph.initializer[0].raw_data = b"\x00" * 5
    with pytest.raises(SparqcError, match="'k' is damaged"):
        read_onnx(made, TABLE)


def test_a_tensor_that_is_not_defined_is_refused():
    with pytest.raises(SparqcError, match="Relu 'y' reads the tensor 'z'"):
        read(NODE("Relu", ["z"], ["y"]))


def test_an_opset_that_cannot_be_converted_is_refused():
    with pytest.raises(SparqcError, match="cannot be converted from opset 7 to 13"):
        read(NODE("Affine", ["x"], ["y"]), opset=7)


def test_the_model_is_left_as_it_was():
    made = branching()
    before = onnx.ModelProto.FromString(made.SerializeToString())
    read_onnx(made, TABLE)
    assert made == before
