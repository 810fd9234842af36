"""Reading an ONNX model, and what is wrong with it."""

import onnx
import pytest
from onnx import helper
from onnx.external_data_helper import convert_model_to_external_data

from sparqc.errors import SparqcError, UsageError
from sparqc.ir.input_shapes import InputSpec
from sparqc.tools.engine.onnx_source import read_source
from sparqc.tools.engine.onnx_weights import WeightedNode, weighted_nodes
from tests.engine_models import Net, quantized_conv


def test_a_file_and_a_model_in_memory_are_the_same(tmp_path):
    model = quantized_conv()
    onnx.save(model, tmp_path / "model.onnx")
    assert read_source(tmp_path / "model.onnx").model == read_source(model).model == model


def test_inputs_with_an_initializer_are_not_fed():
    model = quantized_conv()
    model.graph.input.append(onnx.helper.make_tensor_value_info("scale", 1, []))
    assert read_source(model).inputs == (InputSpec("x", ("batch", 16, 8, 8)),)


def test_a_missing_file_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="there is no ONNX file"):
        read_source(tmp_path / "model.onnx")
    with pytest.raises(UsageError, match="there is no ONNX file"):
        read_source(tmp_path)


@pytest.mark.parametrize("cut", [0, 1, 10, 500, -50, -1])
def test_a_file_that_is_cut_short_is_an_error(tmp_path, cut):
    path = tmp_path / "model.onnx"
    path.write_bytes(quantized_conv().SerializeToString()[:cut])
    with pytest.raises(SparqcError, match="not an ONNX file, or it is cut short"):
        read_source(path)


def test_something_else_is_an_error(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("this is not a model\n")
    with pytest.raises(SparqcError, match="not an ONNX file"):
        read_source(path)


def test_missing_or_short_external_data_are_named(tmp_path):
    model = quantized_conv()
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save(model, tmp_path / "model.onnx")
    assert read_source(tmp_path / "model.onnx").model.graph.node
    data = (tmp_path / "weights.bin").read_bytes()
    (tmp_path / "weights.bin").write_bytes(data[:100])
    with pytest.raises(SparqcError, match=r"weights\.bin"):
        read_source(tmp_path / "model.onnx")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(SparqcError, match=r"weights\.bin"):
        read_source(tmp_path / "model.onnx")


def test_external_data_of_any_size_are_found_by_the_compiler(tmp_path):
    from sparqc.tools.engine.rtx import compile_rtx

    model = quantized_conv()
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save(model, tmp_path / "model.onnx")
    assert compile_rtx(tmp_path / "model.onnx").int8_nodes == ["conv"]


def test_weights_are_found_through_q_dq_and_layout_changes():
    net = Net(("batch", 64))
    transposed = net.op("Transpose", net.weight("w", (32, 64)), perm=[1, 0])
    first = net.op("MatMul", net.qdq("x"), transposed, name="first")
    # FP32 -> Q -> DQ, as TensorRT 8 reads it; and a product of two activations.
    second = net.op("Gemm", net.qdq(first), net.qdq(net.constant("v", [[1.0]])), name="second")
    model = net.model(net.op("MatMul", first, second, name="attention"))
    assert weighted_nodes(model) == (
        WeightedNode("first", "MatMul", "w"),
        WeightedNode("second", "Gemm", "v"),
    )


def damaged(*nodes):
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4])]
    outputs = [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)]
    graph = helper.make_graph(list(nodes), "damaged", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


@pytest.mark.parametrize("op_type", ["MatMul", "Gemm", "Conv", "ConvTranspose"])
def test_a_node_with_too_few_operands_has_no_weight(op_type):
    model = damaged(helper.make_node(op_type, ["x"], ["y"]))
    assert weighted_nodes(read_source(model).model) == ()


def test_what_stands_in_front_of_a_weight_may_read_nothing():
    nodes = [
        helper.make_node("Transpose", [], ["t"]),
        helper.make_node("MatMul", ["x", "t"], ["y"]),
    ]
    assert weighted_nodes(read_source(damaged(*nodes)).model) == ()


def test_a_cycle_is_refused_in_a_model_from_memory_too():
    nodes = [
        helper.make_node("Identity", ["b"], ["a"]),
        helper.make_node("Identity", ["a"], ["b"]),
        helper.make_node("MatMul", ["x", "a"], ["y"]),
    ]
    with pytest.raises(SparqcError, match="the graph has a cycle"):
        read_source(damaged(*nodes))
