"""Element types that a target's parser does not read, wherever they stand in a model."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sparqc.declared.element_types import unread_types
from sparqc.declared.targets import profile, profiles


def model(nodes, inputs=(), constants=()):
    values = [
        helper.make_tensor_value_info(n, t, [2]) for n, t in (("x", TensorProto.FLOAT), *inputs)
    ]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph(nodes, "g", values, [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def found(proto, target="tensorrt-11"):
    return [(u.type, u.tensor or u.node.op_type) for u in unread_types(proto, profile(target))]


def through(code):
    """A cast to a type, and back."""
    return [
        helper.make_node("Cast", ["x"], ["a"], to=code),
        helper.make_node("Cast", ["a"], ["y"], to=TensorProto.FLOAT),
    ]


def test_inputs_constants_and_results_are_told():
    constant = numpy_helper.from_array(np.zeros(2, np.uint16), "c")
    inner = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["b"], to=TensorProto.INT16)], "g", [],
        [helper.make_tensor_value_info("b", TensorProto.INT16, [2])],
    )  # fmt: skip
    branch = helper.make_node("If", ["k"], ["b"], then_branch=inner, else_branch=inner)
    fill = helper.make_node("Constant", [], ["f"], value=helper.make_tensor("v", 12, [1], [1]))
    proto = model([*through(TensorProto.UINT64), branch, fill],
                  [("k", TensorProto.BOOL), ("s", TensorProto.STRING)], [constant])  # fmt: skip
    assert found(proto) == [
        ("STRING", "s"), ("UINT16", "c"), ("UINT64", "Cast"), ("INT16", "Cast"), ("INT16", "Cast"),
        ("UINT32", "Constant"),
    ]  # fmt: skip


@pytest.mark.parametrize("target", sorted(profiles()))
def test_targets_differ_in_the_newer_types(target):
    newer = found(model(through(TensorProto.BFLOAT16)), target)
    assert newer == ([("BFLOAT16", "Cast")] if target == "tensorrt-8.6" else [])
    assert found(model(through(TensorProto.DOUBLE)), target) == []


def test_every_name_is_one_of_onnx():
    names = {n for p in profiles().values() for n in p.element_types}
    assert names and names <= set(onnx.TensorProto.DataType.keys())
