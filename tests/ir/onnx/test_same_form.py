"""Raw operators in another opset: written where schemas differ in types alone."""

import pytest
from onnx import ModelProto, TensorProto, checker, helper

from sparqc.errors import SparqcError
from sparqc.ir.onnx.adapter import read_onnx, write_onnx
from sparqc.ir.vocabulary.table import OperatorTable


def model(op_type: str, opset: int, **attributes: object) -> ModelProto:
    """One operator, of which an empty table knows nothing."""
    node = helper.make_node(op_type, ["x"], ["y"], **attributes)
    gives = TensorProto.BOOL if op_type == "IsNaN" else TensorProto.FLOAT
    ends = [("x", TensorProto.FLOAT), ("y", gives)]
    x, y = (helper.make_tensor_value_info(name, kind, [2, 3, 4]) for name, kind in ends)
    graph = helper.make_graph([node], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize(
    ("op_type", "opset", "other", "attributes"),
    [
        ("IsNaN", 20, 19, {}),  # opset 20 added types
        ("IsNaN", 13, 20, {}),
        ("Identity", 21, 19, {}),
        ("Elu", 22, 17, {"alpha": 0.5}),
    ],
)
def test_a_form_that_stays_is_written(op_type, opset, other, attributes):
    graph = read_onnx(model(op_type, opset, **attributes), OperatorTable())
    written = write_onnx(graph, OperatorTable(), opset=other)
    checker.check_model(written, full_check=True)
    assert written.opset_import[0].version == other
    assert [node.op_type for node in written.graph.node] == [op_type]


@pytest.mark.parametrize(
    ("op_type", "opset", "other", "attributes"),
    [
        ("Softmax", 13, 12, {"axis": 1}),  # opset 12 means axes 1 and behind
        ("IsNaN", 13, 8, {}),  # there is none
        ("Dropout", 12, 11, {}),
    ],
)
def test_a_form_that_means_something_else_is_refused(op_type, opset, other, attributes):
    graph = read_onnx(model(op_type, opset, **attributes), OperatorTable())
    with pytest.raises(SparqcError, match=f"cannot be written in opset {other}"):
        write_onnx(graph, OperatorTable(), opset=other)


def test_a_type_that_the_other_schema_lacks_is_refused():
    made = model("Identity", 25)
    for end in (*made.graph.input, *made.graph.output):
        end.type.tensor_type.elem_type = TensorProto.INT4
    graph = read_onnx(made, OperatorTable())
    assert write_onnx(graph, OperatorTable(), opset=21)
    with pytest.raises(SparqcError, match="cannot be written in opset 19"):
        write_onnx(graph, OperatorTable(), opset=19)
