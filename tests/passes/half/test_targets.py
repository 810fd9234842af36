"""What targets and opsets say of FP16."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

import sparqc
from sparqc.declared.targets import profile
from sparqc.errors import SparqcError, UsageError
from sparqc.ir.onnx.adapter import write_onnx
from sparqc.passes.export import RequestedOpset
from tests.passes.half.test_half import QUANTIZED, TABLE, context_for, half, info, model, types


def quantized_model(opset, extra=(), constants=(), outputs=()):
    scale = helper.make_tensor("s", TensorProto.FLOAT, (), [0.05])
    zero = helper.make_tensor("z", TensorProto.INT8, (), [0])
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Tanh", ["d"], ["y"]),
        *extra,
    ]
    ends = [info("y"), *outputs]
    return model(nodes, [info("x")], ends, opset, [scale, zero, *constants])


#: An operator that the table has no row for, of another form in opset 19; constants; outputs.
CHANGED = ([helper.make_node("CastLike", ["x", "x"], ["odd"])], [], [info("odd")])


def test_an_older_opset_is_raised_to_one_with_scales_in_fp16():
    weight = helper.make_tensor("w", TensorProto.FLOAT, (4, 4), np.eye(4).ravel())
    product = helper.make_node("MatMul", ["d", "w"], ["p"])
    graph, _ = half(quantized_model(13, [product], [weight], [info("p")]))
    assert write_onnx(graph, TABLE).opset_import[0].version == 20
    graph, _ = half(quantized_model(13))  # where nothing would be FP16, nothing is changed
    assert write_onnx(graph, TABLE).opset_import[0].version == 13


def test_an_operator_that_has_changed_since_forbids_that():
    """CastLike of opset 19 may saturate."""
    message = r"FP16 scales need opset 19, but onnx.CastLike .odd. is of opset 17 and cannot be"
    with pytest.raises(SparqcError, match=message):
        half(quantized_model(17, *CHANGED))


def test_a_target_that_reads_scales_in_fp32_only():
    with pytest.raises(UsageError, match="reads scales in FP32 only"):
        half(QUANTIZED, context_for("tensorrt-8.6"))
    with pytest.raises(UsageError, match="reads scales in FP32 only"):
        profile("tensorrt-8.6").require_precision("fp16")


@pytest.mark.parametrize("way", ["an operator has changed", "the export was told"])
def test_a_default_gives_way_where_a_wish_is_refused(way):
    changed = CHANGED if way == "an operator has changed" else ()
    context = context_for()
    context.precision_asked = False
    if not changed:
        context.facts.put(RequestedOpset(17))
    graph, found = half(quantized_model(17, *changed), context)
    assert found.refused.startswith("FP16 scales need opset 19")
    assert "f16" not in types(graph).values()


@pytest.mark.parametrize(
    ("passes", "wish", "types"),
    [
        ("int8", "", {"f16"}),
        ("int8", "fp32", {"f32"}),
        ("int8,-half", "", {"f32"}),  # no pass of the pipeline does it
        ("float", "", {"f32"}),  # where nothing is quantized, the model's own types stay
        ("float", "fp16", {"f16"}),
        ("int8,+export{opset=17}@instead=export", "", {"f32"}),  # has no FP16 scales
    ],
)
def test_fp16_stands_beside_int8_where_nobody_asks_for_another_type(passes, wish, types):
    module = nn.Sequential(nn.Conv2d(16, 16, 3), nn.Softmax(1), nn.Conv2d(16, 16, 3))
    made = sparqc.compile(
        module.eval(), (torch.randn(2, 16, 8, 8),), passes=passes, float=wish,
        target="tensorrt-11", random_calibration=True,
    )  # fmt: skip
    assert {n.output.type.dtype for n in made.graph.nodes if n.op == "nn.softmax"} == types
