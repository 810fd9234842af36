"""A graph in a newer opset: past operators that only take more types there."""

import pytest
from onnx import ModelProto, TensorProto, helper

from sparqc.errors import SparqcError
from sparqc.ir.onnx.adapter import read_onnx, write_onnx
from sparqc.ir.onnx.raise_opset import raise_opset
from sparqc.ir.vocabulary.table import default_table

TABLE = default_table()


def model(op_type: str, operands: list[str], kind: int) -> ModelProto:
    """One operator that the table has no row for, in opset 17."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    y = helper.make_tensor_value_info("y", kind, None)
    graph = helper.make_graph([helper.make_node(op_type, operands, ["y"])], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("op_type", "kind"),
    [("Shape", TensorProto.INT64), ("Size", TensorProto.INT64), ("IsNaN", TensorProto.BOOL)],
)
def test_what_only_takes_more_types_is_of_the_newer_opset(op_type: str, kind: int) -> None:
    """A Shape is in most models that were exported with a batch of any size."""
    graph = read_onnx(model(op_type, ["x"], kind), TABLE)
    raise_opset(graph, 20, TABLE, "it is wanted")
    made = write_onnx(graph, TABLE)
    assert made.opset_import[0].version == 20
    assert [node.op_type for node in made.graph.node] == [op_type]


def test_what_has_another_form_is_refused() -> None:
    """CastLike of opset 19 may saturate."""
    graph = read_onnx(model("CastLike", ["x", "x"], TensorProto.FLOAT), TABLE)
    with pytest.raises(SparqcError, match=r"^it is wanted, but onnx.CastLike 'y' is of opset 17"):
        raise_opset(graph, 20, TABLE, "it is wanted")
    assert write_onnx(graph, TABLE).opset_import[0].version == 17
